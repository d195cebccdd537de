"""Small exposures with everything that can happen to a pixel, their references, and the official pipeline on them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirific.exposure import DQ, Metadata, Ramp
from mirific.instrument.subarrays import SUBARRAYS, Subarray, subarray_of
from mirific.io.raw import ArrayRamp
from mirific.references.files import FixedReferences
from mirific.step import parameters_of

GROUP_TIME = 2.77504


@dataclass(frozen=True)
class Case:
    """What to make: dimensions, references' sizes, and how much goes wrong."""

    nints: int = 2
    ngroups: int = 12
    ny: int = 64
    nx: int = 72
    seed: int = 1
    rate: float = 30.0
    bright: float = 0.02
    cosmic_rays: float = 0.01
    skip_int1: int = 4
    skip_int2: int = 4
    dark_groups: int = 50
    dark_ints: int = 2
    reset_groups: int = 8
    reset_ints: int = 2
    nan_references: bool = True
    mask_bad: float = 0.01
    average_dark: float = 0.1
    floor: float = 0.0005
    integration_start: int | None = None
    exposure_nints: int | None = None
    showers: int = 0
    emi: float = 0.0
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Case:
        return replace(self, **changes)

    def on(self, subarray: str) -> Case:
        """The same on a whole subarray, as the mode that uses it takes it."""
        array = SUBARRAYS[subarray]
        kind, filter_name = MODES.get(subarray, ("MIR_IMAGE", "F770W"))
        corner = {"subarray.name": subarray, "subarray.xstart": array.colstart, "subarray.ystart": array.rowstart}
        mode = {"exposure.type": kind, "instrument.filter": filter_name}
        return self.but(ny=array.nrows, nx=array.ncols, meta={**self.meta, **corner, **mode})


#: Exposure type and filter of subarrays that are not for imaging.
MODES = {
    "MASK1065": ("MIR_4QPM", "F1065C"),
    "MASK1140": ("MIR_4QPM", "F1140C"),
    "MASK1550": ("MIR_4QPM", "F1550C"),
    "MASKLYOT": ("MIR_LYOT", "F2300C"),
    "SLITLESSPRISM": ("MIR_LRS-SLITLESS", "P750L"),
}


def meta_of(case: Case) -> dict[str, Any]:
    values = {
        "telescope": "JWST",
        "instrument.name": "MIRI",
        "instrument.detector": "MIRIMAGE",
        "instrument.filter": "F770W",
        "exposure.type": "MIR_IMAGE",
        "exposure.readpatt": "FASTR1",
        "exposure.nints": case.exposure_nints or case.nints,
        "exposure.ngroups": case.ngroups,
        "exposure.nframes": 1,
        "exposure.groupgap": 0,
        "exposure.frame_divisor": 1,
        "exposure.nsamples": 1,
        "exposure.start_time": 60310.0,
        "exposure.integration_time": case.ngroups * GROUP_TIME,
        "exposure.end_time": 60310.001,
        "exposure.frame_time": GROUP_TIME,
        "exposure.group_time": GROUP_TIME,
        "subarray.name": "SUB64",
        "subarray.xstart": 1,
        "subarray.ystart": 779,
        "subarray.xsize": case.nx,
        "subarray.ysize": case.ny,
        "subarray.fastaxis": 1,
        "subarray.slowaxis": 2,
        "observation.date": "2024-01-01",
        "observation.time": "00:00:00",
        "filename": "jw00001001001_01101_00001_mirimage_uncal.fits",
    }
    if case.integration_start is not None:
        values["exposure.integration_start"] = case.integration_start
        values["exposure.integration_end"] = case.integration_start + case.nints - 1
    return {**values, **case.meta}


def samples_of(case: Case) -> np.ndarray:
    """Raw ramps, uint16, with stars that saturate, cosmic rays up and down, and samples at the converter's floor."""
    rng = np.random.default_rng(case.seed)
    shape = (case.nints, case.ngroups, case.ny, case.nx)
    rate = rng.gamma(2.0, case.rate / 2.0, size=shape[-2:])
    star = rng.random(shape[-2:]) < case.bright
    rate[star] = 10 ** rng.uniform(2.5, 5.0, size=star.sum())
    electrons = rng.poisson(np.broadcast_to(rate * GROUP_TIME * 4.0, shape)).astype(float)
    hits = rng.random(shape) < case.cosmic_rays
    electrons[hits] += 10 ** rng.uniform(1.5, 5.0, size=hits.sum()) * rng.choice([1, 1, 1, -0.2], size=hits.sum())
    _add_showers(electrons, case.showers, rng)
    ramps = 10000.0 + np.cumsum(electrons, axis=1) / 4.0 + rng.normal(0.0, 5.0, size=shape)
    rows = subarray_of(meta_of(case)).row_clocks
    clock = rows * np.arange(case.ny)[:, None] + np.arange(case.nx) // 4
    frames = np.arange(case.nints * case.ngroups).reshape(case.nints, case.ngroups, 1, 1)
    frame = _frame_clocks(subarray_of(meta_of(case))) * frames
    ramps += case.emi * np.sin(2 * np.pi * (clock + frame + 40) / 256)
    ramps = ramps - 1e-6 * (ramps - 10000.0) ** 2
    ramps[rng.random(shape) < case.floor] = 0.0
    return np.clip(np.rint(ramps), 0, 65535).astype(np.uint16)


def _frame_clocks(array: Subarray) -> int:
    """Clocks from one frame to the next; rows outside the subarray take seven each."""
    known = SUBARRAYS[array.name]
    return known.row_clocks * known.nrows + 7 * (1024 - known.nrows)


def _add_showers(electrons: np.ndarray, count: int, rng: np.random.Generator) -> None:
    """Elliptical patches of charge that begin in one group and fade over a few."""
    nints, ngroups, ny, nx = electrons.shape
    y, x = np.mgrid[:ny, :nx]
    for _ in range(count):
        i, g = rng.integers(nints), rng.integers(1, ngroups)
        cy, cx, a, b, angle = rng.uniform(0, ny), rng.uniform(0, nx), *rng.uniform(6, 15, 2), rng.uniform(0, np.pi)
        u, v = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle), (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        patch = (u / a) ** 2 + (v / b) ** 2 < 1
        for later in range(g, min(g + 4, ngroups)):
            electrons[i, later][patch] += rng.uniform(20, 120) * 0.6 ** (later - g)


def ramp_of(case: Case) -> Ramp:
    return Ramp(ArrayRamp(samples_of(case)), Metadata(meta_of(case)))


def _spots(rng: np.random.Generator, shape: tuple[int, ...], probability: float) -> np.ndarray:
    return rng.random(shape) < probability


def _save(model: Any, path: Path, case: Case) -> str:
    meta = meta_of(case)
    if type(model).__name__ != "RSCDModel":
        for key in ("name", "xstart", "ystart", "xsize", "ysize", "fastaxis", "slowaxis"):
            setattr(model.meta.subarray, key, meta[f"subarray.{key}"])
    model.meta.instrument.name = "MIRI"
    model.meta.instrument.detector = "MIRIMAGE"
    model.meta.description = model.meta.author = "test"
    model.meta.pedigree = "DUMMY"
    model.meta.useafter = "2020-01-01T00:00:00"
    model.meta.reftype = path.stem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(str(path))
    return str(path)


def references_of(case: Case, folder: Path) -> dict[str, str]:
    """Write reference files for stage 1, with NaN and flags sprinkled over them."""
    from stdatamodels.jwst import datamodels

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(case.seed + 1000)
    frame = (case.ny, case.nx)
    few = 0.004 if case.nan_references else 0.0
    files = {}

    def dq_of(*bits: str, probability: float = few) -> np.ndarray:
        dq = np.zeros(frame, dtype=np.uint32)
        for bit in bits:
            dq[_spots(rng, frame, probability)] |= np.uint32(DQ[bit])
        return dq

    mask = datamodels.MaskModel(dq=dq_of("HOT") | dq_of("DO_NOT_USE", "DEAD", probability=case.mask_bad))
    mask.dq[:, :4] |= np.uint32(DQ["REFERENCE_PIXEL"])
    mask.dq_def = np.array(
        [(0, 1, "DO_NOT_USE", ""), (1, 2, "DEAD", ""), (2, 4, "HOT", ""), (3, 8, "REFERENCE_PIXEL", "")],
        dtype=mask.get_dtype("dq_def"),
    )
    files["mask"] = _save(mask, folder / "mask.fits", case)

    threshold = rng.normal(55000.0, 800.0, size=frame).astype(np.float32)
    threshold[_spots(rng, frame, few)] = np.nan
    model = datamodels.SaturationModel(data=threshold, dq=dq_of("NO_SAT_CHECK"))
    files["saturation"] = _save(model, folder / "saturation.fits", case)

    anomaly = rng.normal(0.0, 20.0, size=(case.reset_ints, case.reset_groups, *frame)).astype(np.float32)
    anomaly[_spots(rng, anomaly.shape, few)] = np.nan
    model = datamodels.ResetModel(data=anomaly, dq=dq_of("UNRELIABLE_BIAS"))
    model.meta.exposure.nints, model.meta.exposure.ngroups = case.reset_ints, case.reset_groups
    files["reset"] = _save(model, folder / "reset.fits", case)

    coefficients = np.zeros((5, *frame), dtype=np.float32)
    coefficients[0] = rng.normal(-3.0, 1.0, size=frame)
    coefficients[1] = rng.normal(0.98, 0.01, size=frame)
    coefficients[2] = rng.normal(1e-6, 1e-7, size=frame)
    coefficients[3] = rng.normal(1e-11, 1e-12, size=frame)
    coefficients[4] = rng.normal(1e-17, 1e-18, size=frame)
    coefficients[2, _spots(rng, frame, few)] = np.nan
    coefficients[1, _spots(rng, frame, few)] = 0.0
    model = datamodels.LinearityModel(coeffs=coefficients, dq=dq_of("NO_LIN_CORR", "NONLINEAR"))
    files["linearity"] = _save(model, folder / "linearity.fits", case)

    model = datamodels.RSCDModel()
    dtype = model.get_dtype("rscd_group_skip_table")
    rows = [("FULL", "FASTR1", 9, 9), ("SUB64", "SLOWR1", 8, 8)]
    rows += [(name, "FASTR1", case.skip_int1, case.skip_int2) for name in SUBARRAYS if name != "FULL"]
    model.rscd_group_skip_table = np.array(rows, dtype=dtype)
    files["rscd"] = _save(model, folder / "rscd.fits", case)

    dark = np.cumsum(rng.normal(0.3, 0.5, size=(case.dark_ints, case.dark_groups, *frame)), axis=1).astype(np.float32)
    dark[_spots(rng, dark.shape, few / 10)] = np.nan
    dq = np.zeros((case.dark_ints, 1, *frame), dtype=np.uint32)
    dq[0, 0], dq[-1, 0] = dq_of("UNRELIABLE_DARK"), dq_of("UNRELIABLE_DARK", "RC")
    model = datamodels.DarkMIRIModel(data=dark, dq=dq)
    model.meta.exposure.nframes, model.meta.exposure.ngroups, model.meta.exposure.groupgap = 1, case.dark_groups, 0
    model.meta.exposure.average_dark_current = case.average_dark
    files["dark"] = _save(model, folder / "dark.fits", case)

    gain = rng.normal(4.0, 0.2, size=frame).astype(np.float32)
    gain[_spots(rng, frame, few)] = np.nan
    gain[_spots(rng, frame, few)] = -1.0
    files["gain"] = _save(datamodels.GainModel(data=gain), folder / "gain.fits", case)

    noise = np.abs(rng.normal(7.0, 1.0, size=frame)).astype(np.float32)
    noise[_spots(rng, frame, few)] = np.nan
    noise[_spots(rng, frame, few)] = 0.0
    files["readnoise"] = _save(datamodels.ReadnoiseModel(data=noise), folder / "readnoise.fits", case)
    if "ipc" in case.steps:
        kernel = rng.normal(0.0, 0.01, size=(3, 3)).astype(np.float32)
        kernel[1, 1] += 1.0
        files["ipc"] = str(folder / "ipc.fits")
        datamodels.IPCModel(data=kernel).save(files["ipc"])
    return {**files, "emicorr": _emi_waves(folder / "emicorr.asdf")}


def _emi_waves(path: Path) -> str:
    """Two frequencies for every subarray, in the structure of the real reference."""
    from stdatamodels.jwst import datamodels

    phase = np.arange(256) / 256
    model = datamodels.EmiModel()
    model.frequencies = {
        "Hz390": {"frequency": 390.625, "phase_amplitudes": np.sin(2 * np.pi * phase).tolist()},
        "Hz10": {"frequency": 10.039216, "phase_amplitudes": np.cos(2 * np.pi * phase).tolist()},
    }
    slow = {"MIRIMAGE": ["Hz390"]}
    freqs = {"FAST": ["Hz390", "Hz10"], "SLOW": slow}
    model.subarray_cases = {
        array.name: {"rowclocks": array.row_clocks, "frameclocks": array.frame_clocks, "freqs": freqs}
        for array in SUBARRAYS.values()
        if array.name != "FULL"
    }
    model.meta.reftype, model.meta.author, model.meta.description = "emicorr", "test", "test"
    model.meta.pedigree, model.meta.useafter = "DUMMY", "2020-01-01T00:00:00"
    model.save(str(path))
    return str(path)


def fixed(files: dict[str, str]) -> FixedReferences:
    return FixedReferences({**dict.fromkeys(("ipc", "flat"), None), **files})


def quiet(case: Case, folder: Path) -> FixedReferences:
    """References whose reset anomaly is that of the simulated ramps: none."""
    from stdatamodels.jwst import datamodels

    files = references_of(case, folder)
    with datamodels.ResetModel(files["reset"]) as model:
        model.data = np.zeros_like(model.data)
        model.save(files["reset"])
    return fixed(files)


def configured(engine: Any, case: Case) -> Any:
    """The engine with the parameters of the case."""
    held = {name: {"skip": False, **values} for name, values in case.steps.items()}
    return engine.configured(_known_values, {}, FixedReferences({}, held))


def _known_values(step: Any, meta: Any, references: Any) -> Any:
    known = parameters_of(type(step))
    return step.configured({name: v for name, v in references.parameters(meta, step.name).items() if name in known})


def model_of(ramp: Ramp) -> Any:
    """The same exposure as the official pipeline takes it."""
    from stdatamodels.jwst import datamodels

    nints, ngroups, ny, nx = ramp.shape
    model = datamodels.RampModel(data=ramp.raw.band(0, ny).astype(np.float32))
    model.groupdq = np.zeros((nints, ngroups, ny, nx), dtype=np.uint8)
    model.pixeldq = np.zeros((ny, nx), dtype=np.uint32)
    for key, value in ramp.meta.items():
        model[f"meta.{key}"] = value
    return model


#: Steps that are off unless a case sets parameters of theirs.
OFF = ("emicorr", "ipc", "persistence", "firstframe")


def official(case: Case, files: dict[str, str], ramp: Ramp, before_fit: list[Any] | None = None) -> tuple[Any, Any]:
    """Rate and rateints of the official pipeline, run in memory step by step as its pipeline does.

    The ramps before the fit are appended to ``before_fit``.
    """
    from jwst.dark_current import DarkCurrentStep
    from jwst.dq_init import DQInitStep
    from jwst.emicorr import EmiCorrStep
    from jwst.firstframe import FirstFrameStep
    from jwst.gain_scale import GainScaleStep
    from jwst.group_scale import GroupScaleStep
    from jwst.ipc import IPCStep
    from jwst.jump import JumpStep
    from jwst.lastframe import LastFrameStep
    from jwst.linearity import LinearityStep
    from jwst.persistence import PersistenceStep
    from jwst.ramp_fitting import RampFitStep
    from jwst.reset import ResetStep
    from jwst.rscd import RscdStep
    from jwst.saturation import SaturationStep

    model = model_of(ramp)
    steps = (
        (GroupScaleStep, "group_scale", {}),
        (DQInitStep, "dq_init", {"mask": 1}),
        (EmiCorrStep, "emicorr", {"emicorr": 1}),
        (SaturationStep, "saturation", {"saturation": 1, "superbias": 0}),
        (IPCStep, "ipc", {"ipc": 1}),
        (FirstFrameStep, "firstframe", {}),
        (LastFrameStep, "lastframe", {}),
        (ResetStep, "reset", {"reset": 1}),
        (LinearityStep, "linearity", {"linearity": 1}),
        (RscdStep, "rscd", {"rscd": 1}),
        (DarkCurrentStep, "dark_current", {"dark": 1}),
        (JumpStep, "jump", {"gain": 1, "readnoise": 1}),
        (PersistenceStep, "persistence", {}),
        (RampFitStep, "ramp_fit", {"gain": 1, "readnoise": 1}),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, name, needed in steps:
            if name == "ramp_fit" and before_fit is not None:
                before_fit.append(model.copy())
            if name in OFF and name not in case.steps:
                continue
            step = kind(**case.steps.get(name, {}))
            step.skip = False
            for reference, given in needed.items():
                setattr(step, f"override_{reference}", files[reference] if given else "N/A")
            model = step.process(model)
        rate, ints = model
        if rate is None:
            return None, None
        scale = GainScaleStep()
        scale.override_gain = files["gain"]
        return scale.process(rate), scale.process(ints)
