"""Flicker noise: the official step as oracle with every option, plain medians, and stripes put in by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from stdatamodels.jwst import datamodels

from mirific import io
from mirific.detector1 import Detector1, engine
from mirific.detector1 import clean_flicker_noise_frames as frames
from mirific.detector1 import clean_flicker_noise_kernels as kernels
from mirific.detector1.band import Census, Exposure
from mirific.detector1.clean_flicker_noise import CleanFlickerNoise
from mirific.detector1.dq_init import DqInit
from mirific.detector1.jump import Jump
from mirific.detector1.lastframe import LastFrame
from mirific.detector1.linearity import Linearity
from mirific.detector1.ramp_fit import RampFit
from mirific.detector1.reset import Reset
from mirific.detector1.saturation import Saturation
from mirific.errors import InputError, ParameterError
from mirific.references import Crds
from mirific.references.demo.cache import build_cache
from tests.detector1 import streams
from tests.detector1.cases import Case, fixed, ramp_of, references_of
from tests.official_crds import official_crds

CASE = Case(nints=2, ngroups=8, rate=20.0, nan_references=False, seed=7)
BEFORE = (DqInit(), Saturation(), LastFrame(), Reset(), Linearity(), Jump())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A CRDS cache for the draft rate of the official step, which asks CRDS whatever it is given."""
    folder = tmp_path_factory.mktemp("crds")
    build_cache(folder, filters=("F770W",), subarrays=("SUB64",), readpatts=("FASTR1",), dark_groups=3)
    with official_crds(folder):
        yield folder


@pytest.fixture(scope="module")
def files(cache, tmp_path_factory):
    own = references_of(CASE, tmp_path_factory.mktemp("references"))
    opened = Crds(path=cache).open(ramp_of(CASE).meta, ("gain", "readnoise", "flat"))
    return {**own, **{kind: reference.path for kind, reference in opened.items()}}


#: The official step makes a WCS before it makes a median image.
POINTING = {"ra_ref": 10.0, "dec_ref": 5.0, "v2_ref": -453.0, "v3_ref": -374.0, "roll_ref": 3.0, "v3yangle": 4.8}


def striped(case=CASE, sigma=30.0):
    """An exposure with stripes that differ from group to group."""
    pointing = {f"wcsinfo.{key}": value for key, value in POINTING.items()}
    ramp = ramp_of(case).with_meta({**pointing, "wcsinfo.vparity": -1, "velocity_aberration.scale_factor": 1.0})
    stripes = np.random.default_rng(9).normal(0.0, sigma, size=(case.nints, case.ngroups, 1, case.nx))
    ramp.raw.array[...] = np.clip(ramp.raw.array + np.rint(stripes), 0, 65535).astype(np.uint16)
    return ramp, stripes


def both(ramp, files, **parameters):
    from jwst.clean_flicker_noise import CleanFlickerNoiseStep

    before = streams.ours(BEFORE, ramp, files)
    ours = streams.ours((*BEFORE, CleanFlickerNoise(skip=False).configured(parameters)), ramp, files)
    if "background_box_size" in parameters:
        parameters["background_box_size"] = [int(word) for word in parameters["background_box_size"].split(",")]
    model = streams.model(before, ramp)
    return before, ours, streams.official(CleanFlickerNoiseStep, model, {"flat": files["flat"]}, **parameters)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"background_method": None},
        {"background_method": "model"},
        {"background_method": "model", "background_box_size": "16,24", "n_sigma": 0.0},
        {"background_method": "median_image"},
        {"background_method": "median_image", "user_mask": "given"},
        {"background_method": "median_image", "apply_flat_field": True, "mask_science_regions": True},
        {"mask_science_regions": True},
        {"apply_flat_field": True},
        {"apply_flat_field": True, "background_method": "model", "single_mask": False},
        {"n_sigma": 0.0},
        {"n_sigma": 1.0, "fit_histogram": True},
        {"single_mask": False},
        {"single_mask": False, "fit_histogram": True, "mask_science_regions": True, "n_sigma": 3.0},
        {"user_mask": "given"},
        {"user_mask": "one for each"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ramps_are_those_of_the_official_step(parameters, files, tmp_path):
    ramp, _ = striped(CASE.but(nints=3))
    if "user_mask" in parameters:
        shape = (CASE.ny, CASE.nx) if parameters["user_mask"] == "given" else (3, CASE.ny, CASE.nx)
        mask = (np.random.default_rng(3).random(shape) < 0.5).astype(np.float32)
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask, name="SCI")]).writeto(tmp_path / "mask.fits")
        parameters = {**parameters, "user_mask": str(tmp_path / "mask.fits")}
    before, ours, theirs = both(ramp, files, **parameters)
    assert theirs.meta.cal_step.clean_flicker_noise == "COMPLETE"
    # A background that is not constant is added and subtracted there: one unit of the last place at 65000 DN is 0.0078.
    streams.assert_same(ours, theirs, noise=8.0 if parameters.get("background_method") == "model" else 5.0)
    assert np.abs(ours.data - before.data).max() > 20.0


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"background_method": None, "single_mask": False},
        {"background_method": "model", "apply_flat_field": True},
        {"background_method": "median_image"},
        {"user_mask": "given"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_saved_beside_is_what_the_official_step_saves(parameters, files, tmp_path, monkeypatch):
    ramp, _ = striped(CASE.but(nints=3, floor=0.01))
    if "user_mask" in parameters:
        mask = (np.random.default_rng(3).random((CASE.ny, CASE.nx)) < 0.5).astype(np.float32)
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(mask, name="SCI")]).writeto(tmp_path / "given.fits")
        parameters = {**parameters, "user_mask": str(tmp_path / "given.fits")}
    saved = {"save_mask": True, "save_background": True, "save_noise": True}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "STRIP_ROWS", 25)
    both(ramp, files, **parameters, **saved)
    step = CleanFlickerNoise(skip=False).configured({**parameters, **saved})
    made = Detector1(parity=True, steps=(*BEFORE, step, RampFit())).run(ramp, fixed(files), scratch=tmp_path).byproducts
    assert set(made) == {"mask", "flicker_bkg", "flicker_noise"}
    for suffix, product in made.items():
        (path,) = tmp_path.glob(f"*_{suffix}.fits")
        io.write(product, tmp_path / "ours" / path.name)
        with datamodels.open(path) as theirs, datamodels.open(tmp_path / "ours" / path.name) as ours:
            assert type(ours) is type(theirs)
            scale = 1.0 if suffix == "mask" else np.nanmax(np.abs(theirs.data))
            np.testing.assert_allclose(ours.data, theirs.data, rtol=0, atol=2e-4 * scale, err_msg=suffix)
            assert theirs.data.any() or (suffix, parameters.get("background_method", "")) == ("flicker_bkg", None)
            ours.validate()
            assert ours.meta.cal_step.ramp_fit is None
            assert suffix == "mask" or ours.meta.bunit_data in ("DN", None)


def test_known_stripes_disappear(files):
    """Of stripes of the noise of a pixel (5 DN) no more is left than the noise of the median of sixty of them."""
    case = CASE.but(bright=0.0, cosmic_rays=0.0, floor=0.0, rate=0.5)
    clean, (ramp, stripes) = ramp_of(case), striped(case, sigma=5.0)
    ours = streams.ours((DqInit(), LastFrame(), Jump(), CleanFlickerNoise(skip=False)), ramp, files, parity=False)
    left = np.diff(ours.data - clean.raw.array.astype(np.float32), axis=1)[:, :-1]
    put_in = np.diff(stripes, axis=1)[:, :-1] * np.ones((1, 1, CASE.ny, 1))
    assert left.std() < 0.25 * put_in.std()


def test_cuts_and_workers_do_not_show(files, monkeypatch):
    ramp, _ = striped()
    steps = (*BEFORE, CleanFlickerNoise(skip=False))
    expected = streams.ours(steps, ramp, files)
    monkeypatch.setattr(engine, "STRIP_ROWS", 5)
    monkeypatch.setattr(engine, "WINDOW_BYTES", 1)
    with ThreadPoolExecutor(3) as pool:
        cut = engine.ramps(ramp, steps, fixed(files), True, pool.map)
    np.testing.assert_array_equal(cut.data, expected.data)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=30)
def test_columns_have_their_medians(seed, background):
    """Beside NumPy's masked median; without clipping."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100.0, 10.0, size=(19, 12)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = np.nan
    scene = rng.random(image.shape) < rng.random()
    scene[:, 3] = False
    found = frames.fit_frame(image, scene, frames.BackgroundMethod(None, 0.0))
    usable = scene & ~np.isnan(image)
    if found is None:
        assert not usable.any()
        return
    expected = np.ma.filled(np.ma.median(np.ma.array(image, mask=~usable), axis=0), 0.0)
    np.testing.assert_array_equal(found.stripes, expected)
    assert found.stripes[3] == 0.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_scatter_of_the_lower_half_is_that_of_astropy(seed, size, rounds):
    rng = np.random.default_rng(seed)
    samples = np.sort(rng.normal(size=size) * 10 ** rng.uniform(-1, 3, size=size)).astype(np.float32)
    centre = sigma_clipped_stats(samples.astype(np.float64), sigma=2.5, maxiters=rounds)[1]
    lower = samples[samples <= centre].astype(np.float64)
    mirrored = np.concatenate((lower, 2 * centre - lower))
    deviation = sigma_clipped_stats(mirrored, sigma=2.5, maxiters=rounds)[2]
    np.testing.assert_allclose(
        kernels.half_scatter(samples, centre, 2.5, rounds), deviation, rtol=1e-6, atol=1e-6 * np.abs(samples).max()
    )


def test_a_frame_without_background_stays_as_it_is():
    assert (
        frames.fit_frame(np.ones((4, 4), np.float32), np.zeros((4, 4), bool), frames.BackgroundMethod("median", 2.0))
        is None
    )
    data = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4) ** 2
    before = data.copy()
    fitted = np.array([[False, True], [True, False]])
    stripes = np.full((2, 2, 4), 1.0, dtype=np.float32)
    kernels.subtract_stripes(data, np.empty((0, 0), np.float32), fitted, np.zeros((2, 2), np.float32), stripes)
    np.testing.assert_array_equal(before[0, 0] - data[0, 0], [[0] * 4, [0] * 4, [1] * 4])
    np.testing.assert_array_equal(before[0, 1] - data[0, 1], [[0] * 4, [1] * 4, [0] * 4])


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"fit_method": "fft"}, "spectrographs"),
        ({"background_method": "median_image"}, "more than one integration"),
    ],
)
def test_what_cannot_be_done_is_left_alone(parameters, reason, files):
    ramp = ramp_of(CASE.but(nints=1))
    step = CleanFlickerNoise(skip=False).configured(parameters)
    found = engine.prepare(step, Exposure(ramp.shape, ramp.meta, Census.empty(ramp.shape)), fixed(files))
    assert reason in found.reason


def test_mistakes_are_said(files, tmp_path):
    ramp = ramp_of(CASE)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3)), name="SCI")]).writeto(tmp_path / "mask.fits")
    for values, error, what in (
        ({"background_box_size": "32"}, ParameterError, "is no size"),
        ({"background_box_size": "0, 3"}, ParameterError, "is no size"),
        ({"user_mask": str(tmp_path / "mask.fits")}, InputError, "does not fit"),
        ({"user_mask": str(tmp_path / "none.fits")}, InputError, "no such file"),
    ):
        with pytest.raises(error, match=what):
            streams.ours((*BEFORE, CleanFlickerNoise(skip=False).configured(values)), ramp, files)
    series = ramp.with_meta({"visit.tsovisit": True})
    with pytest.raises(ParameterError, match="time series"):
        streams.ours((*BEFORE, CleanFlickerNoise(skip=False, background_method="median_image")), series, files)
