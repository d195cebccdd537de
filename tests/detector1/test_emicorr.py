"""Interference: the official step as oracle in every mode, known waves, and the phase at the ends of the search."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from mirific import io
from mirific.detector1 import Detector1, emicorr_kernels, engine
from mirific.detector1.band import Census, Exposure
from mirific.detector1.emicorr import EmiCorr, Search, Spline
from mirific.detector1.group_scale import GroupScale
from mirific.detector1.ramp_fit import RampFit
from mirific.errors import InputError, ParameterError, ReferenceMissing
from mirific.exposure import Metadata, Ramp
from mirific.instrument.readout import SLOWR1_FRAME_CLOCKS, SLOWR1_ROW_CLOCKS
from mirific.instrument.subarrays import SUBARRAYS
from mirific.io.raw import ArrayRamp
from mirific.references.demo import maps
from mirific.simulate import Programme, make_effect
from mirific.simulate.metadata import exposure_metadata
from mirific.simulate.ramps import raw_ramp
from mirific.simulate.write import frames_of
from tests.detector1 import streams
from tests.detector1.cases import Case, fixed, ramp_of, references_of

CASE = Case(ngroups=10, nan_references=False, emi=4.0)
#: Subarray, pattern and shape of what is read; rows are fewer than the subarray has, which no formula minds.
MODES = {
    f"{name} {pattern}": (name, pattern)
    for name in SUBARRAYS
    for pattern in (("FASTR1", "FAST", "SLOWR1", "SLOW") if name in ("FULL", "SUB64") else ("FASTR1",))
}


def wave(kind: str, size: int = 256) -> np.ndarray:
    phase = 2 * np.pi * np.arange(size) / size
    return np.sin(phase) + (0.4 * np.cos(2 * phase + 1.0) if kind == "bent" else 0.0)


def write_reference(path, waves=None, cases=None) -> str:
    """A reference in the structure of the real one, with every subarray."""
    from stdatamodels.jwst import datamodels

    model = datamodels.EmiModel()
    waves = waves or {"Hz390": (390.625, wave("bent")), "Hz218": (218.52055, wave("sine", 500))}
    model.frequencies = {
        name: {"frequency": hertz, "phase_amplitudes": samples.tolist()} for name, (hertz, samples) in waves.items()
    }
    freqs = {"FAST": list(waves), "SLOW": {"MIRIMAGE": list(waves)}}
    clocks = {name if name != "FULL" else "FULL_FAST": (s.row_clocks, s.frame_clocks) for name, s in SUBARRAYS.items()}
    clocks["FULL_SLOW"] = (SLOWR1_ROW_CLOCKS, SLOWR1_FRAME_CLOCKS)
    model.subarray_cases = cases or {
        name: {"rowclocks": row, "frameclocks": frame, "freqs": freqs} for name, (row, frame) in clocks.items()
    }
    model.meta.reftype, model.meta.author, model.meta.description = "emicorr", "test", "test"
    model.meta.pedigree, model.meta.useafter = "DUMMY", "2020-01-01T00:00:00"
    model.save(str(path))
    return str(path)


def interference(shape, array, pattern, kind="bent", start=40, period=256.0):
    """The wave as it runs through a readout, DN, shape (nints, ngroups, ny, nx); it begins at clock ``start``."""
    nints, ngroups, ny, nx = shape
    slow = "SLOW" in pattern
    row = SLOWR1_ROW_CLOCKS if slow and array.name == "FULL" else array.row_clocks
    reset = SLOWR1_FRAME_CLOCKS if slow and array.name == "FULL" else array.frame_clocks
    frame = ny * row + (1024 - ny) * 7
    before = np.arange(nints)[:, None] * (ngroups * frame + reset * pattern.endswith("R1")) + np.arange(ngroups) * frame
    clock = row * np.arange(ny)[:, None] + np.arange(nx) // 4 * (9 if slow else 1)
    phase = (before[..., None, None] + clock + start) / period % 1.0
    return np.interp(phase, np.arange(2561) / 2560, np.append(wave(kind, 2560), wave(kind, 2560)[0]))


def exposure(mode: str, case: Case = CASE, rows: int = 24, **changes):
    """An exposure in a mode; full frames are cut to a few rows, but keep their columns."""
    name, pattern = MODES[mode]
    array = SUBARRAYS[name]
    case = case.but(ny=min(array.nrows, rows), nx=array.ncols)
    meta = {
        "subarray.name": name,
        "subarray.xstart": array.colstart,
        "subarray.ystart": array.rowstart,
        "exposure.readpatt": pattern,
        "exposure.nsamples": 9 if "SLOW" in pattern else 1,
    }
    clean = ramp_of(case.but(emi=0.0)).with_meta(meta)
    samples = clean.raw.array + np.float32(case.emi) * interference(clean.shape, array, pattern, **changes)
    return clean, replace(clean, raw=ArrayRamp(np.rint(samples).astype(np.float32)))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("emicorr") / "emicorr.asdf")


@pytest.fixture(scope="module")
def files(tmp_path_factory, reference):
    return {**references_of(CASE, tmp_path_factory.mktemp("references")), "emicorr": reference}


def both(ramp, files, parity=True, **parameters):
    """Our ramps and the official ones."""
    from jwst.emicorr import EmiCorrStep

    before = streams.ours((GroupScale(),), ramp, files)
    ours = streams.ours((EmiCorr(skip=False).configured(parameters),), ramp, files, parity)
    if "onthefly_corr_freq" in parameters:
        parameters["onthefly_corr_freq"] = [float(word) for word in parameters["onthefly_corr_freq"].split(",")]
    overrides = {"emicorr": files["emicorr"]}
    return before, ours, streams.official(EmiCorrStep, streams.model(before, ramp), overrides, **parameters)


@pytest.mark.oracle
@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
@pytest.mark.parametrize("mode", MODES)
def test_ramps_are_those_of_the_official_step(mode, algorithm, files):
    _, ramp = exposure(mode)
    before, ours, theirs = both(ramp, files, algorithm=algorithm)
    streams.assert_same(ours, theirs)
    assert theirs.meta.cal_step.emicorr == "COMPLETE"
    assert np.abs(ours.data - before.data).max() > 0.3


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {"fit_ints_separately": True},
        {"algorithm": "sequential", "nbins": 40},
        {"algorithm": "sequential", "nbins": 700},
        {"algorithm": "sequential", "scale_reference": False},
        {"algorithm": "sequential", "use_n_cycles": None},
        {"algorithm": "sequential", "use_n_cycles": 40},
        {"algorithm": "sequential", "nints_to_phase": 2},
        {"algorithm": "sequential", "nints_to_phase": 1, "use_n_cycles": None},
        {"onthefly_corr_freq": "390.625"},
        {"onthefly_corr_freq": "390.625,10.039216", "nbins": 50},
    ],
    ids=str,
)
def test_parameters_mean_the_same(parameters, files):
    _, ramp = exposure("SUB64 FASTR1", CASE.but(nints=4, seed=5))
    _, ours, theirs = both(ramp, files, **parameters)
    streams.assert_same(ours, theirs)


@pytest.mark.oracle
@pytest.mark.parametrize(("ngroups", "algorithm"), [(3, "joint"), (4, "joint"), (4, "sequential"), (5, "sequential")])
def test_short_ramps(ngroups, algorithm, files):
    _, ramp = exposure("SUB64 FASTR1", CASE.but(ngroups=ngroups, nints=3))
    _, ours, theirs = both(ramp, files, algorithm=algorithm)
    streams.assert_same(ours, theirs)


def left(ours, clean, ramp):
    """Rms of the wave that is left over that of the wave that was put in."""
    injected = ramp.raw.array - clean.raw.array
    return (ours.data - clean.raw.array).std() / injected.std()


@pytest.mark.parametrize("kind", ["sine", "bent"])
@pytest.mark.parametrize("mode", ["SUB64 FASTR1", "SUB64 FAST", "SUB128 FASTR1", "MASKLYOT FASTR1"])
def test_a_known_wave_disappears(mode, kind, tmp_path):
    """The bar is a sixth of the wave; 390.625 Hz are in phase from frame to frame in the larger subarrays."""
    clean, ramp = exposure(mode, CASE.but(nints=2, bright=0.0, cosmic_rays=0.0, rate=10.0), rows=128, kind=kind)
    files = {"emicorr": write_reference(tmp_path / "emicorr.asdf", {"Hz390": (390.625, wave(kind))})}
    for step in (EmiCorr(skip=False), EmiCorr(skip=False, algorithm="sequential")):
        assert left(streams.ours((step,), ramp, files, parity=False), clean, ramp) < 1 / 6


@lru_cache(maxsize=1)
def _bent_wave() -> str:
    return write_reference(Path(mkdtemp()) / "emicorr.asdf", {"Hz390": (390.625, wave("bent"))})


@given(st.integers(0, 255))
@example(0)
@settings(deadline=None, max_examples=12)
def test_no_phase_is_special(start):
    """The official search goes astray where the best phase is the first or last one that it tries: 1 in 250."""
    clean, ramp = exposure(
        "SUB64 FASTR1", CASE.but(nints=1, bright=0.0, cosmic_rays=0.0), rows=64, kind="bent", start=start
    )
    files = {"emicorr": _bent_wave()}
    assert left(streams.ours((EmiCorr(skip=False),), ramp, files, parity=False), clean, ramp) < 0.125
    if start == 0:
        assert left(streams.ours((EmiCorr(skip=False),), ramp, files, parity=True), clean, ramp) > 0.5


def test_the_parabola_of_parity_ends_where_the_search_does():
    """A minimum at the first trial phase: the official step fits its neighbours at 0.998, 0 and 0.002."""
    trials = np.arange(500) / 500
    products = np.cos(2 * np.pi * (trials - 0.0003))[None] + 0.2 * np.cos(6 * np.pi * (trials - 0.0003))[None]
    search = Search(np.ones((1, 500)), products, 0.0, parity=False)
    assert search.best(np.array([0]))[0] == pytest.approx(0.0003, abs=1e-5)
    assert abs(replace(search, parity=True).best(np.array([0]))[0] - 0.5) < 0.1


@given(st.integers(0, 2**32 - 1), st.integers(4, 500))
@settings(deadline=None, max_examples=20)
def test_the_spline_is_that_of_scipy(seed, size):
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=size)
    spline = Spline.through(samples)
    phases = rng.random(50)
    places = (np.arange(size + 2) - 0.5) / size
    expected = interp1d(places, np.concatenate((samples[-1:], samples, samples[:1])), kind="cubic")(phases)
    found = [emicorr_kernels.spline_at(spline.values, spline.curvatures, phase) for phase in phases]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("ngroups", "changes", "step", "reason"),
    [
        (2, {}, EmiCorr(skip=False), "too few"),
        (3, {}, EmiCorr(skip=False, algorithm="sequential"), "too few"),
        (9, {"exposure.readpatt": "FASTGRPAVG8"}, EmiCorr(skip=False), "not known how"),
        (9, {"subarray.name": "SUBPRISM"}, EmiCorr(skip=False), "no interference is known"),
        (9, {"subarray.name": "SUBPRISM"}, EmiCorr(skip=False, onthefly_corr_freq="390.625"), "no interference"),
    ],
)
def test_what_cannot_be_corrected_is_left_alone(ngroups, changes, step, reason, files):
    _, ramp = exposure("SUB64 FASTR1", CASE.but(ngroups=ngroups))
    found = engine.prepare(
        step, Exposure(ramp.shape, ramp.with_meta(changes).meta, Census.empty(ramp.shape)), fixed(files)
    )
    assert not found.runs
    assert reason in found.reason


def test_bad_frequencies_are_said(files, tmp_path):
    _, ramp = exposure("SUB64 FASTR1")
    for words, what in (("390.625, ten", "ten"), ("-3", "above zero"), ("[]", "above zero")):
        with pytest.raises(ParameterError, match=what):
            streams.ours((EmiCorr(skip=False, onthefly_corr_freq=words),), ramp, files)
    lacking = {"SUB64": {"rowclocks": 28, "frameclocks": 8512, "freqs": {"FAST": ["Hz10"], "SLOW": {}}}}
    path = write_reference(tmp_path / "emicorr.asdf", {"Hz390": (390.625, wave("sine"))}, lacking)
    with pytest.raises(ReferenceMissing, match="Hz10"):
        streams.ours((EmiCorr(skip=False),), ramp, {"emicorr": path})


def test_a_wave_of_zeros_changes_nothing(tmp_path):
    _, ramp = exposure("SUB64 FASTR1")
    path = write_reference(tmp_path / "emicorr.asdf", {"Hz10": (10.039216, np.zeros(500))})
    for algorithm in ("joint", "sequential"):
        ours = streams.ours((EmiCorr(skip=False, algorithm=algorithm),), ramp, {"emicorr": path})
        np.testing.assert_array_equal(ours.data, ramp.raw.array)


OWN_WAVES = {"onthefly_corr_freq": "390.625 10.039216", "nbins": 50, "save_intermediate_results": True}


def own_waves(ramp, files, parity, folder, **parameters):
    """The by-products of a run with these parameters."""
    step = EmiCorr(skip=False).configured(parameters)
    corner = {"SUBSTRT1": ramp.meta["subarray.xstart"], "SUBSTRT2": ramp.meta["subarray.ystart"]}
    ones = fits.ImageHDU(np.ones(ramp.shape[2:], dtype=np.float32), name="SCI")
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(corner)), ones]).writeto(folder / "ones.fits", overwrite=True)
    given = {**files, **dict.fromkeys(("gain", "readnoise"), folder / "ones.fits")}
    return Detector1(parity=parity, steps=(step, RampFit())).run(ramp, fixed(given)).byproducts


@pytest.mark.oracle
@pytest.mark.parametrize("mode", ["SUB64 FASTR1", "SUB64 SLOWR1", "FULL FASTR1"])
def test_waves_of_the_data_are_those_of_the_official_step(mode, files, tmp_path, monkeypatch):
    from jwst.emicorr import EmiCorrStep
    from stdatamodels.jwst import datamodels

    monkeypatch.chdir(tmp_path)
    _, ramp = exposure(mode, rows=8)
    ours = own_waves(ramp, files, True, tmp_path, **OWN_WAVES)["emi_ref_waves"]
    parameters = {**OWN_WAVES, "onthefly_corr_freq": [390.625, 10.039216]}
    given = streams.model(streams.ours((), ramp, files), ramp)
    streams.official(EmiCorrStep, given, {}, **parameters)
    path = io.write(ours, tmp_path / "ours.asdf")
    (other,) = tmp_path.glob("*_emi_ref_waves.asdf")
    with datamodels.open(path) as mine, datamodels.open(other) as theirs:
        assert type(mine) is type(theirs) is datamodels.EmiModel
        mine.validate()
        assert mine.subarray_cases.instance == theirs.subarray_cases.instance
        assert set(mine.frequencies.instance) == set(theirs.frequencies.instance) == {"390.625", "10.039216"}
        for name, wave in theirs.frequencies.instance.items():
            assert mine.frequencies.instance[name]["frequency"] == wave["frequency"]
            samples = np.asarray(mine.frequencies.instance[name]["phase_amplitudes"])
            np.testing.assert_allclose(samples, wave["phase_amplitudes"], rtol=0, atol=1e-4)
        kept = {"instrument", "reftype", "description", "pedigree", "telescope", "model_type"}
        told, expected = (meta.instance for meta in (mine.meta, theirs.meta))
        assert {key: told[key] for key in kept} == {key: expected[key] for key in kept}
        assert set(expected) | {"calibration_software_version"} == set(told)


@pytest.mark.oracle
@pytest.mark.parametrize(("mode", "rows"), [("SUB64 FASTR1", 64), ("FULL FASTR1", 24), ("FULL SLOWR1", 28)])
def test_waves_of_the_data_serve_as_a_reference(mode, rows, files, tmp_path):
    """Here and in the official step; what that one writes itself it does not recognise.

    Frames of so many rows do not take whole periods: else the wave could not be told from the bias.
    """
    from jwst.emicorr import EmiCorrStep

    clean, ramp = exposure(mode, CASE.but(bright=0.0, cosmic_rays=0.0, rate=10.0), rows=rows)
    own = {**OWN_WAVES, "onthefly_corr_freq": "390.625", "nbins": None}
    for parity, status in ((False, "COMPLETE"), (True, "SKIPPED")):
        path = str(
            io.write(own_waves(ramp, files, parity, tmp_path, **own)["emi_ref_waves"], tmp_path / f"{status}.asdf")
        )
        given = streams.model(streams.ours((), ramp, files), ramp)
        theirs = streams.official(EmiCorrStep, given, {"emicorr": path})
        assert theirs.meta.cal_step.emicorr == status
    path = str(tmp_path / "COMPLETE.asdf")
    ours = streams.ours((EmiCorr(skip=False, user_supplied_reffile=path),), ramp, {}, parity=False)
    assert left(ours, clean, ramp) < 1 / 6


def test_waves_are_written_only_where_they_were_made(files, tmp_path):
    _, ramp = exposure("SUB64 FASTR1", rows=8)
    for changes in ({"save_intermediate_results": False}, {"onthefly_corr_freq": None, "algorithm": "sequential"}):
        assert not own_waves(ramp, files, False, tmp_path, **{**OWN_WAVES, **changes})


@pytest.mark.oracle
@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
@pytest.mark.filterwarnings("ignore:The 'user_supplied_reffile' parameter:DeprecationWarning")
def test_a_file_of_the_user_is_taken_in_place_of_the_reference(algorithm, files, tmp_path):
    from jwst.emicorr import EmiCorrStep

    path = write_reference(tmp_path / "mine.asdf", {"Hz390": (390.625, wave("sine"))})
    _, ramp = exposure("SUB64 FASTR1", rows=8)
    step = EmiCorr(skip=False, algorithm=algorithm, user_supplied_reffile=path)
    ours = streams.ours((step,), ramp, {})  # CRDS is not asked
    given = streams.model(streams.ours((), ramp, {}), ramp)
    theirs = streams.official(EmiCorrStep, given, {}, algorithm=algorithm, user_supplied_reffile=path)
    streams.assert_same(ours, theirs)
    assert np.abs(ours.data - ramp.raw.array).max() > 0.3
    assert not np.array_equal(ours.data, streams.ours((replace(step, user_supplied_reffile=None),), ramp, files).data)


def test_a_file_of_the_user_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "bad.asdf").write_text("no waves")
    _, ramp = exposure("SUB64 FASTR1", rows=8)
    for name in ("bad.asdf", "none.asdf"):
        with pytest.raises(InputError, match="cannot be read"):
            streams.ours((EmiCorr(skip=False, user_supplied_reffile=str(tmp_path / name)),), ramp, {})


@pytest.mark.parametrize("algorithm", ["joint", "sequential"])
@pytest.mark.parametrize(("subarray", "bar"), [("SUB64", 0.1), ("SUB128", 0.05)])
def test_simulated_interference_is_removed(subarray, bar, algorithm, tmp_path):
    """Stars, sky, noise, cosmic rays and the wave of 4 DN of the demo reference: amplitude left over injected."""
    plain = Programme(filters=("F770W",), subarray=subarray, ndithers=1, ngroups=12, nints=2, seed=5)
    disturbed = replace(plain, effects=(make_effect("interference"),))
    (before,), (after,) = frames_of(plain), frames_of(disturbed)
    clean, samples = (raw_ramp(frame, 1, 54.0).astype(np.float32) for frame in (before, after))
    ramp = Ramp(ArrayRamp(samples), Metadata(exposure_metadata(plain, before.exposure)))
    maps.write_emicorr(tmp_path / "emicorr.asdf")
    step = EmiCorr(skip=False, algorithm=algorithm)
    ours = streams.ours((step,), ramp, {"emicorr": str(tmp_path / "emicorr.asdf")}, parity=False).data
    injected = samples - clean
    template = injected / injected.std() ** 2
    assert abs(np.mean((ours - clean) * template)) < bar
