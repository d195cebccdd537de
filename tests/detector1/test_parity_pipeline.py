"""The whole of stage 1 beside ``Detector1Pipeline.call`` of the installed ``jwst``: same file, same CRDS cache.

In every case the DQ of the rates, of the integrations and of the groups agrees in at least 99.999 % of the elements,
and values lie within 1e-5 of each other, or within a thousandth of the error, in at least 99.99 % of the pixels. Where
anything differs at all, :data:`EXPLAINED` says why; all other cases are free of differences in DQ.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirific import io
from mirific.detector1 import Detector1
from mirific.pipeline.settings import Settings
from mirific.references import Crds
from mirific.references.demo import build_cache
from mirific.simulate import Programme, Scene, write_programme
from mirific.simulate.effects import make_effect

pytestmark = pytest.mark.oracle

#: Brighter than anything in the sky of the programmes: several stars saturate within a few groups.
BRIGHT = Scene(stars=400.0, star_flux=(5.0, 5000.0), star_slope=-0.3)
CROWDED = Scene(stars=100.0)


@dataclass(frozen=True)
class Case:
    """An exposure and the parameters of its reduction."""

    subarray: str
    filter: str
    ngroups: int
    nints: int = 1
    readpatt: str = "FASTR1"
    cosmic_rays: float = 54.0
    scene: Scene = CROWDED
    showers: int = 0
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    header: dict[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Simulate it."""
        effects = (make_effect("showers", {"count": self.showers}),) if self.showers else ()
        programme = Programme(
            filters=(self.filter,),
            subarray=self.subarray,
            readpatt=self.readpatt,
            ngroups=self.ngroups,
            nints=self.nints,
            ndithers=1,
            cosmic_rays=self.cosmic_rays,
            scene=self.scene,
            effects=effects,
        )
        (path,) = write_programme(programme, folder).uncal
        self._change_header(path)
        return path

    def _change_header(self, path: Path) -> None:
        from astropy.io import fits

        with fits.open(path, mode="update") as hdus:
            for key, value in self.header.items():
                hdus["PRIMARY"].header[key] = value


FOUND = {"jump": {"find_showers": True}}
SEGMENT = {"EXSEGTOT": 3, "NINTS": 6}
CASES = {
    "SUB64, F560W, two groups": Case("SUB64", "F560W", 2, nints=2),
    "SUB64, F770W, three groups": Case("SUB64", "F770W", 3, nints=2, scene=BRIGHT),
    "SUB64, F1000W, four groups": Case("SUB64", "F1000W", 4, nints=2, scene=BRIGHT),
    "SUB64, F1130W, five groups": Case("SUB64", "F1130W", 5, nints=3),
    "SUB64, F1280W, 120 integrations": Case("SUB64", "F1280W", 6, nints=120),
    "SUB64, F770W, first segment": Case(
        "SUB64", "F770W", 10, nints=2, header={**SEGMENT, "EXSEGNUM": 1, "INTSTART": 1, "INTEND": 2}
    ),
    "SUB64, F770W, a later segment": Case(
        "SUB64", "F770W", 10, nints=2, header={**SEGMENT, "EXSEGNUM": 2, "INTSTART": 3, "INTEND": 4}
    ),
    "SUB128, F1500W, 12 groups": Case("SUB128", "F1500W", 12),
    "SUB128, F2550W, heavy cosmic rays": Case("SUB128", "F2550W", 40, cosmic_rays=10000.0),
    "SUB256, F2100W, heavy saturation": Case("SUB256", "F2100W", 12, nints=2, scene=BRIGHT),
    "SUB256, F770W, showers": Case("SUB256", "F770W", 25, nints=2, showers=4, steps=FOUND),
    "BRIGHTSKY, F1800W, 12 groups": Case("BRIGHTSKY", "F1800W", 12),
    "FULL, F560W, 5 groups": Case("FULL", "F560W", 5),
}
SLOW = {
    "SUB64, F770W, 1000 integrations": Case("SUB64", "F770W", 5, nints=1000),
    "SUB64, F1500W, 300 groups": Case("SUB64", "F1500W", 300, nints=2),
    "SUB256, F1280W, 100 groups": Case("SUB256", "F1280W", 100, nints=2, scene=BRIGHT),
    "BRIGHTSKY, F1000W, 40 groups, showers": Case("BRIGHTSKY", "F1000W", 40, showers=3, steps=FOUND),
    "FULL, SLOWR1, F2550W, 5 groups": Case("FULL", "F2550W", 5, nints=2, readpatt="SLOWR1"),
    "FULL, F1000W, 12 groups, heavy saturation": Case("FULL", "F1000W", 12, nints=2, scene=BRIGHT),
    "FULL, F2100W, 40 groups": Case("FULL", "F2100W", 40),
}

#: Why DQ or values differ anywhere, and in how many elements at most.
EXPLAINED: dict[str, tuple[int, str]] = {}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Demo references of all subarrays; the environment is as before when the module is through."""
    names = ("CRDS_PATH", "CRDS_CONTEXT", "CRDS_SERVER_URL")
    before = {name: os.environ.get(name) for name in names}
    groups = {("FASTR1", "FULL"): 15, ("SLOWR1", "FULL"): 6}
    crds = Crds(path=build_cache(tmp_path_factory.mktemp("crds") / "cache", dark_groups=groups))
    yield crds
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def official(path: Path, case: Case) -> tuple[Any, Any, Any]:
    """Rate, rateints and calibrated ramp."""
    from jwst.pipeline import Detector1Pipeline
    from stdatamodels.jwst import datamodels

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Detector1Pipeline.call(
            str(path), steps=case.steps, save_results=True, save_calibrated_ramp=True, output_dir=str(path.parent)
        )
        names = ("_rate.fits", "_rateints.fits", "_ramp.fits")
        return tuple(datamodels.open(str(path).replace("_uncal.fits", name)) for name in names)


def differences(ours: Any, theirs: Any) -> dict[str, tuple[int, int]]:
    """Elements that differ beyond the tolerances, and of how many, by array."""
    found = {"dq": (int((np.asarray(ours.dq) != theirs.dq).sum()), theirs.dq.size)}
    err = np.nan_to_num(theirs.err)
    for name, unit in (("data", err), ("err", err), ("var_poisson", err**2), ("var_rnoise", err**2)):
        mine, other = np.asarray(getattr(ours, name), dtype=np.float64), getattr(theirs, name).astype(np.float64)
        close = np.abs(mine - other) <= np.maximum(1e-5 * np.abs(other), 1e-3 * unit)
        close |= np.isnan(mine) & np.isnan(other)
        found[name] = (int((~close).sum()), close.size)
    return found


def compare(case: Case, folder: Path, crds: Crds) -> dict[str, tuple[int, int]]:
    """Run both, and list the differences."""
    path = case.write(folder)
    crds.activate()
    rate, integrations, before = official(path, case)
    values = {name: dict(found) for name, found in case.steps.items()}
    showers = values.get("jump", {}).pop("find_showers", None)
    if showers is not None:
        values["showers"] = {"find_showers": showers}
    ramp = io.read_ramp(path)
    engine = Detector1(parity=True, save_calibrated_ramp=True)
    engine = engine.configured(Settings(parity=True, values=values).configure, ramp.meta, crds)
    ours = engine.run(ramp, crds, scratch=folder)
    found = {f"rate {name}": count for name, count in differences(ours, rate).items()}
    found |= {f"rateints {name}": count for name, count in differences(ours.integrations, integrations).items()}
    groupdq = np.asarray(ours.byproducts["ramp"].arrays["GROUPDQ"])
    found["groupdq"] = (int((groupdq != before.groupdq).sum()), groupdq.size)
    for model in (rate, integrations, before):
        model.close()
    return found


def check(name: str, found: dict[str, tuple[int, int]]) -> None:
    """The bar, and no unexplained difference."""
    allowed, _ = EXPLAINED.get(name, (0, ""))
    for key, (bad, size) in found.items():
        assert bad <= size * (1e-5 if "dq" in key else 1e-4), f"{key}: {bad} of {size}"
        assert bad <= allowed, f"{key}: {bad} of {size} elements differ, and nobody knows why"


@pytest.mark.parametrize("name", CASES)
def test_small_exposures(name, cache, tmp_path):
    check(name, compare(CASES[name], tmp_path, cache))


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_large_exposures(name, cache, tmp_path):
    check(name, compare(SLOW[name], tmp_path, cache))
