"""Parameter files of the demo cache: what CRDS tells the steps of MIRI imaging to do.

Known: tweakreg per filter (table of 2022 in ``jwst`` issue 7076), showers searched in the short filters only (JDox
"MIRI Imaging Known Issues"), reference-pixel correction off (``jwst`` documentation of refpix). That IPC is off, and
all other values, are assumed; most of them are the defaults of the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirific.instrument.filters import FILTERS
from mirific.references.demo.mappings import USE_AFTER, Rule

__all__ = ["ParameterFile", "parameter_files", "parameter_rules"]

#: Filters in which the official shower search is off (JDox "MIRI Imaging Known Issues").
NO_SHOWERS = ("F1800W", "F2100W", "F2550W")
#: Filters with the stars to fit a rotation, too (``jwst`` issue 7076).
MANY_STARS = ("F560W", "F770W", "F1000W")


@dataclass(frozen=True)
class ParameterFile:
    """One parameter file.

    Parameters
    ----------
    kind : str
        CRDS type.
    step_class : str
        Full name of the step's class.
    values : mapping
        Parameters of the step.
    filter_name : str
        Filter it is for; empty for all.
    """

    kind: str
    step_class: str
    values: Mapping[str, Any]
    filter_name: str = ""

    @property
    def name(self) -> str:
        """File name."""
        serial = 9001 + (list(FILTERS).index(self.filter_name) if self.filter_name else 0)
        return f"jwst_miri_{self.kind}_{serial}.asdf"

    def write(self, folder: Path) -> None:
        """Write the file into ``folder``."""
        import asdf

        tree = {
            "class": self.step_class,
            "name": self.step_class.rpartition(".")[2],
            "parameters": dict(self.values),
            "meta": {
                "author": "mirific",
                "date": "2026-01-01T00:00:00",
                "description": f"Parameters for {self.step_class}, partly assumed",
                "instrument": {"name": "MIRI"},
                "origin": "mirific",
                "pedigree": "SIMULATION",
                "reftype": self.kind,
                "telescope": "JWST",
                "useafter": USE_AFTER.replace(" ", "T"),
            },
        }
        asdf.AsdfFile(tree).write_to(folder / self.name)


def _tweakreg(name: str) -> dict[str, Any]:
    many = name in MANY_STARS
    return {
        "kernel_fwhm": FILTERS[name].kernel_fwhm_px,
        "snr_threshold": 10.0,
        "minobj": 15 if many else 5,
        "fitgeometry": "rshift" if many else "shift",
        "nclip": 3,
        "sigma": 3.0,
        "searchrad": 1.0,
        "separation": 1.0,
        "tolerance": 0.7,
    }


def _jump(name: str) -> dict[str, Any]:
    return {"find_showers": name not in NO_SHOWERS, "minimum_groups": 3}


def _source_catalog(name: str) -> dict[str, Any]:
    return {"kernel_fwhm": FILTERS[name].kernel_fwhm_px}


def _of_filter(name: str) -> list[ParameterFile]:
    """Files that depend on the filter; of outlier_detection only its dependence on the filter is known."""
    return [
        ParameterFile("pars-tweakregstep", "jwst.tweakreg.tweakreg_step.TweakRegStep", _tweakreg(name), name),
        ParameterFile("pars-jumpstep", "jwst.jump.jump_step.JumpStep", _jump(name), name),
        ParameterFile(
            "pars-outlierdetectionstep",
            "jwst.outlier_detection.outlier_detection_step.OutlierDetectionStep",
            {"good_bits": "~DO_NOT_USE", "snr": "5.0 4.0", "scale": "1.2 0.7"},
            name,
        ),
        ParameterFile(
            "pars-sourcecatalogstep",
            "jwst.source_catalog.source_catalog_step.SourceCatalogStep",
            _source_catalog(name),
            name,
        ),
    ]


def parameter_files(filters: tuple[str, ...]) -> list[ParameterFile]:
    """All parameter files for these filters; the assumed detector has no EMI, so that emicorr stays off."""
    off = {"skip": True}
    common = [
        ParameterFile("pars-detector1pipeline", "jwst.pipeline.Detector1Pipeline", {"save_calibrated_ramp": False}),
        ParameterFile("pars-ipcstep", "jwst.ipc.ipc_step.IPCStep", off),
        ParameterFile("pars-refpixstep", "jwst.refpix.refpix_step.RefPixStep", off),
        ParameterFile("pars-image2pipeline", "jwst.pipeline.Image2Pipeline", {"save_bsub": False}),
        ParameterFile("pars-emicorrstep", "jwst.emicorr.emicorr_step.EmiCorrStep", off),
    ]
    return common + [entry for name in filters for entry in _of_filter(name)]


def parameter_rules(files: list[ParameterFile]) -> dict[str, Rule]:
    """CRDS rules that find these files."""
    chosen: dict[str, dict[tuple[str, ...], str]] = {}
    parkeys: dict[str, tuple[str, ...]] = {}
    for entry in files:
        by_filter = bool(entry.filter_name)
        parkeys[entry.kind] = ("META.INSTRUMENT.DETECTOR", *(("META.INSTRUMENT.FILTER",) if by_filter else ()))
        key = ("MIRIMAGE", entry.filter_name) if by_filter else ("MIRIMAGE",)
        chosen.setdefault(entry.kind, {})[key] = entry.name
    return {kind: Rule(parkeys[kind], found) for kind, found in chosen.items()}
