from __future__ import annotations

from dataclasses import replace

import asdf
import numpy as np
import pytest
from astropy import wcs as fits_wcs
from astropy.io import fits

from mirific import io
from mirific.errors import InputError, ParameterError
from mirific.exposure import DQ, dq_names
from mirific.image3 import Resample
from mirific.image3.drizzle.drizzling import weights
from mirific.image3.resample import GOOD_BITS
from mirific.io.models import to_model
from tests.image3 import oracle, scenes

VARIANCES = ("var_rnoise", "var_poisson", "var_flat")


#: The official drizzle leaves out pixels of exposures that stick out of the mosaic, unevenly; not so here.
INSIDE = np.s_[..., 2:-2, 2:-2]


def _worst(ours, theirs, scale, percentile=99.9):
    difference = np.abs(ours - theirs)[INSIDE]
    known = np.isfinite(difference) & (scale[INSIDE] > 0)
    return np.percentile(difference[known] / scale[INSIDE][known], percentile)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters", [{}, {"rotation": 20.0}, {"pixel_scale_ratio": 0.7}, {"weight_type": "exptime"}], ids=str
)
def test_the_mosaic_is_that_of_jwst(matched, parameters):
    """Bars: SCI within 1e-3 of ERR, WHT within 1e-5, in 99.9 % of the pixels; reached in all of them."""
    step = Resample(**parameters)
    ours, theirs = step.apply(matched, {}), oracle.resampled(matched, step)
    np.testing.assert_array_equal(np.isnan(ours.data[INSIDE]), np.isnan(theirs.data[INSIDE]))
    assert _worst(ours.data, theirs.data, theirs.err, 100) < 1e-3
    assert _worst(ours.weight, theirs.weight, theirs.weight, 100) < 1e-5
    assert _worst(ours.err, theirs.err, theirs.err, 100) < 1e-5
    for name in VARIANCES:
        assert _worst(getattr(ours, name), getattr(theirs, name), getattr(theirs, name)) < 1e-5
    np.testing.assert_array_equal(ours.context[INSIDE], theirs.context[INSIDE])
    x, y = np.meshgrid(np.arange(0, ours.data.shape[1], 50), np.arange(0, ours.data.shape[0], 50))
    assert scenes.apart(ours.wcs(x, y), theirs.wcs(x, y)) < 1e-6


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {"kernel": "point"},
        {"kernel": "turbo"},
        {"kernel": "turbo", "pixfrac": 0.6, "pixel_scale_ratio": 0.7},
        {"kernel": "gaussian", "weight_type": "exptime"},
        {"kernel": "lanczos2"},
        {"kernel": "lanczos3", "pixel_scale_ratio": 0.8},
    ],
    ids=str,
)
def test_drops_of_other_shapes_are_those_of_jwst(matched, parameters):
    step = Resample(**parameters)
    ours, theirs = step.apply(matched, {}), oracle.resampled(matched, step)
    inside = np.s_[8:-8, 8:-8]  # the official step leaves out more of these at the border
    same = np.isfinite(ours.data[inside]) == np.isfinite(theirs.data[inside])
    assert same.mean() > 0.999
    weight = np.abs(theirs.weight[inside]).max()
    assert _share(np.abs(ours.weight - theirs.weight)[inside] <= 1e-5 * weight) >= 0.999
    known = np.isfinite(theirs.data[inside]) & np.isfinite(theirs.err[inside])
    assert _share((np.abs(ours.data - theirs.data) <= 1e-3 * theirs.err)[inside][known]) >= 0.999
    assert _share((np.abs(ours.err - theirs.err) <= 1e-3 * theirs.err)[inside][known]) >= 0.999
    np.testing.assert_array_equal((ours.context[:, 8:-8, 8:-8] != 0), (theirs.context[:, 8:-8, 8:-8] != 0))


@pytest.fixture(scope="module")
def flagged(matched):
    """The exposures with many sorts of flags, some of which keep pixels out."""
    rng = np.random.default_rng(8)
    bits = np.array(
        [0, 0, DQ["JUMP_DET"], DQ["HOT"], DQ["DO_NOT_USE"], DQ["NON_SCIENCE"] | DQ["RC"], 2**31, 6], np.uint32
    )
    return matched.with_images(
        replace(image, dq=image.dq | rng.choice(bits, image.dq.shape, p=(0.6, *[0.4 / 7] * 7)))
        for image in matched.images
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"rotation": 20.0, "pixfrac": 0.6, "weight_type": "exptime"},
        {"kernel": "turbo", "pixel_scale_ratio": 0.4},
    ],
    ids=str,
)
def test_flags_go_where_jwst_carries_them(flagged, parameters):
    step = Resample(propagate_dq=True, **parameters)
    ours, theirs = step.apply(flagged, {}), oracle.resampled(flagged, step)
    inside = np.s_[8:-8, 8:-8]  # the official step leaves out more of these at the border
    assert ours.dq.dtype == theirs.dq.dtype == np.uint32
    assert _share(ours.dq[inside] == theirs.dq[inside]) >= 0.9999
    assert {name for value in np.unique(ours.dq) for name in dq_names(int(value))} == {
        "SATURATED",
        "JUMP_DET",
        "HOT",
        "REFERENCE_PIXEL",
    }


@pytest.mark.parametrize("kernel", ["square", "turbo"])
def test_flags_leave_no_seams_and_are_kept_in_the_file(flagged, kernel, monkeypatch, tmp_path):
    from mirific.image3 import resample

    whole = Resample(propagate_dq=True, kernel=kernel, rotation=30.0).apply(flagged, {})
    monkeypatch.setattr(resample, "_STRIP", 37)
    strips = Resample(propagate_dq=True, kernel=kernel, rotation=30.0).apply(flagged, {})
    assert _share(strips.dq == whole.dq) >= 0.9999
    io.write(whole, tmp_path / "whole_i2d.fits")
    np.testing.assert_array_equal(io.read_mosaic(tmp_path / "whole_i2d.fits").dq, whole.dq)


def test_a_flag_stays_within_the_reach_of_its_pixel(aligned):
    """Without flags there are none; one flagged pixel marks those of the mosaic that it shares area with."""
    first = aligned.images[0]
    clean = aligned.with_images([replace(first, dq=first.dq & np.uint32(DQ["DO_NOT_USE"]))])
    assert not Resample(propagate_dq=True).apply(clean, {}).dq.any()
    dq = clean.images[0].dq.copy()
    y, x = np.argwhere(clean.images[0].good())[5000]
    dq[y, x] |= DQ["WARM"]
    mosaic = Resample(propagate_dq=True).apply(aligned.with_images([replace(first, dq=dq)]), {})
    reached = np.argwhere(mosaic.dq == DQ["WARM"])
    assert 1 <= len(reached) <= 9
    centre = np.array(mosaic.wcs.invert(*first.wcs(x, y), with_bounding_box=False))[::-1]
    assert np.abs(reached - centre).max() < 1.5
    assert Resample().apply(clean, {}).dq is None


def _share(where):
    return float(np.mean(where))


def test_squares_without_size_are_points(aligned, none):
    none_left, points = (Resample(**given).run(aligned, none) for given in ({"pixfrac": 0.0}, {"kernel": "point"}))
    np.testing.assert_array_equal(none_left.data, points.data)


@pytest.mark.parametrize("kernel", ["point", "lanczos3"])
def test_strips_of_other_shapes_leave_no_seams(aligned, none, kernel, monkeypatch):
    from mirific.image3 import resample

    whole = Resample(kernel=kernel, rotation=30.0).run(aligned, none)
    monkeypatch.setattr(resample, "_STRIP", 37)
    strips = Resample(kernel=kernel, rotation=30.0).run(aligned, none)
    np.testing.assert_allclose(strips.weight, whole.weight, rtol=1e-4, atol=1e-6 * np.abs(whole.weight).max())
    np.testing.assert_array_equal(strips.context, whole.context)


@pytest.mark.oracle
def test_the_metadata_are_those_of_jwst(matched):
    ours, theirs = Resample().apply(matched, {}), oracle.resampled(matched, Resample())
    flat = [to_model(mosaic).to_flat_dict(include_arrays=False) for mosaic in (ours, theirs)]
    expected = {name for name in flat[1] if name.startswith("meta.")}
    expected -= {"meta.date", "meta.wcs", "meta.group_id", "meta.asn.exptype", "meta.cal_step.resample"}
    for name in sorted(expected):
        value = flat[1][name]
        assert flat[0].get(name) == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name


def test_flux_of_stars_is_conserved(aligned, none):
    """The total over the mosaic of a star equals its total in the exposures, per solid angle."""
    mosaic = Resample().run(aligned, none)
    field = scenes.make_field(np.random.default_rng(1), 60, "SUB256")
    ratio = (mosaic.meta["photometry.pixelarea_arcsecsq"]) / 0.0123
    found = []
    for ra, dec, brightness in zip(field.ra, field.dec, field.brightness, strict=True):
        x, y = (round(float(v)) for v in mosaic.wcs.invert(ra, dec, with_bounding_box=False))
        near = mosaic.data[max(0, y - 7) : y + 8, max(0, x - 7) : x + 8]
        if near.shape == (15, 15) and np.isfinite(near).all() and min(x, y) > 8:
            ring = np.median(near[[0, -1]])
            found.append((near - ring).sum() * ratio / brightness)
    assert len(found) >= 20
    assert np.median(found) == pytest.approx(1.0, abs=0.03)


def test_members_history_and_pointings(matched, none):
    mosaic = Resample().run(matched, none)
    assert mosaic.members == matched.images
    assert [record.step for record in mosaic.history] == ["skymatch", "resample"]
    assert mosaic.meta["resample.pointings"] == 4
    assert mosaic.meta["exposure.exposure_time"] == pytest.approx(4 * 170.0)
    assert mosaic.meta["cal_step.resample"] == "COMPLETE"
    assert mosaic.meta["filename"] == matched.meta["filename"]


def test_the_level_of_skymatch_is_subtracted_once(aligned, none):
    level = 3.0
    told = aligned.with_images(
        tuple(i.with_meta({"background.level": level, "background.subtracted": False}) for i in aligned.images)
    )
    done = aligned.with_images(
        tuple(
            replace(i, data=i.data - np.float32(level)).with_meta(
                {"background.level": level, "background.subtracted": True}
            )
            for i in aligned.images
        )
    )
    plain, first, second = (Resample().run(which, none).data for which in (aligned, told, done))
    np.testing.assert_allclose(first, plain - level, atol=1e-4)
    np.testing.assert_allclose(second, first, atol=1e-4)


def test_one_grid_for_several_mosaics(aligned, none, tmp_path):
    first = Resample(rotation=10.0).run(aligned, none)
    asdf.AsdfFile({"wcs": first.wcs, "array_shape": first.data.shape}).write_to(tmp_path / "grid.asdf")
    part = aligned.with_images(aligned.images[:2])
    second = Resample(output_wcs=str(tmp_path / "grid.asdf")).run(part, none)
    assert second.data.shape == first.data.shape
    assert scenes.apart(first.wcs([0, 100], [50, 9]), second.wcs([0, 100], [50, 9])) < 1e-6
    assert (second.weight <= first.weight * (1 + 1e-6)).all()


def test_a_grid_of_another_kind(aligned, none, tmp_path):
    """A grid whose transform is not that of a FITS header gets keywords that agree with it."""
    import gwcs
    from astropy.modeling.models import Pix2Sky_TAN, RotateNative2Celestial, Scale, Shift

    ra, dec = (float(value) for value in aligned.images[0].wcs(128, 128))
    plane = Shift(-230.0) & Shift(-220.0) | Scale(-3e-5) & Scale(3e-5)
    transform = plane | Pix2Sky_TAN() | RotateNative2Celestial(ra, dec, 180)
    frames = aligned.images[0].wcs.input_frame, aligned.images[0].wcs.output_frame
    grid = gwcs.WCS([(frames[0], transform), (frames[1], None)])
    grid.bounding_box = ((-0.5, 459.5), (-0.5, 439.5))
    asdf.AsdfFile({"wcs": grid}).write_to(tmp_path / "grid.asdf")
    mosaic = Resample(output_wcs=str(tmp_path / "grid.asdf")).run(aligned, none)
    assert mosaic.data.shape == (440, 460)
    header = {
        name.removeprefix("wcsinfo."): value for name, value in mosaic.meta.items() if name.startswith("wcsinfo.")
    }
    cards = {name.upper(): header[name] for name in header if len(name) <= 8 and name != "s_region"}
    fitted = fits_wcs.WCS(fits.Header(cards)).pixel_to_world_values([0, 150, 299], [0, 140, 279])
    assert scenes.apart(fitted, mosaic.wcs([0, 150, 299], [0, 140, 279])) < 1
    np.testing.assert_allclose(np.nansum(mosaic.weight), np.nansum(Resample().run(aligned, none).weight), rtol=1e-3)


def test_chosen_size_place_and_value_of_nothing(aligned, none):
    ra, dec = (float(value) for value in aligned.images[0].wcs(128, 128))
    step = Resample(output_shape="320 350", crpix="100 75", crval=f"{ra} {dec}", fillval="-1")
    mosaic = step.run(aligned, none)
    assert mosaic.data.shape == (350, 320)
    assert scenes.apart(mosaic.wcs(100, 75), (ra, dec)) < 1e-3
    assert (mosaic.data[mosaic.weight == 0] == -1).all()


def test_thirty_three_exposures_need_a_second_plane(aligned, none):
    many = aligned.with_images(i.with_meta({"filename": f"{k}.fits"}) for k, i in enumerate((aligned.images * 9)[:33]))
    mosaic = Resample().run(many, none)
    assert mosaic.context.shape[0] == 2
    bits = mosaic.context.view(np.uint32)
    assert set(np.unique(bits[1])) == {0, 1}
    assert np.bitwise_or.reduce(bits[0], axis=None) == 0xFFFFFFFF


def test_bad_parameters_are_refused(aligned, none, tmp_path):
    with pytest.raises(ParameterError, match="not two numbers"):
        Resample(crpix="1 2 3").run(aligned, none)
    with pytest.raises(InputError, match="cannot be read"):
        Resample(output_wcs=str(tmp_path / "none.asdf")).run(aligned, none)


def test_threads_make_the_same_mosaic(matched, none):
    from mirific.execute import Threads
    from mirific.image3 import OutlierDetection

    one = Resample().run(OutlierDetection().run(matched, none), none)
    with Threads(2) as threads:
        cleaned = OutlierDetection(mapping=threads.map).configured({"snr": "5.0 4.0"}).run(matched, none)
        two = Resample(mapping=threads.map).run(cleaned, none)
    np.testing.assert_array_equal(two.data, one.data)
    np.testing.assert_array_equal(two.err, one.err)
    assert "mapping" not in two.history[-1].parameters


@pytest.mark.oracle
def test_a_single_exposure_makes_an_image_of_its_own(aligned, none):
    """The optional ``_i2d`` of stage 2."""
    from jwst.resample import ResampleStep

    from mirific.image3 import ResampleSingle

    one = aligned.with_images(aligned.images[:1])
    ours = ResampleSingle(skip=False).run(one, none)
    theirs = ResampleStep().process(to_model(one.images[0]).copy())
    assert ours.meta["resample.pointings"] == 1
    assert set(np.unique(ours.context)) == {0, 1}
    assert _worst(ours.data, theirs.data, theirs.err, 100) < 1e-3
    assert _worst(ours.weight, theirs.wht, theirs.wht, 100) < 1e-5
    assert _worst(ours.err, theirs.err, theirs.err, 100) < 1e-5
    assert ResampleSingle().run(one, none).history[-1].status == "SKIPPED"


def test_the_grid_of_another_mosaic(aligned, none, tmp_path):
    """Another filter on the same grid, pixel by pixel."""
    from mirific import io

    first = Resample(rotation=10.0, pixel_scale_ratio=0.9).run(aligned, none)
    path = io.write(first.with_meta({"filename": "first_i2d.fits"}), tmp_path / "first_i2d.fits")
    second = Resample(output_wcs=str(path)).run(aligned.with_images(aligned.images[1:3]), none)
    assert second.data.shape == first.data.shape
    assert scenes.apart(first.wcs([0, 100], [50, 9]), second.wcs([0, 100], [50, 9])) < 1e-6
    assert second.meta["resample.pixel_scale_ratio"] == pytest.approx(0.9, rel=0.01)
    whole = Resample(output_wcs=str(path)).run(aligned, none)
    np.testing.assert_allclose(whole.data, first.data, rtol=1e-5)
    np.testing.assert_allclose(whole.weight, first.weight, rtol=1e-5)


def test_a_grid_that_holds_the_exposures_of_a_field(aligned, none):
    parts = aligned.with_images(aligned.images[:1]), aligned.with_images(aligned.images[2:])
    mosaics = [Resample(field=aligned.images).run(part, none) for part in parts]
    assert mosaics[0].data.shape == mosaics[1].data.shape == Resample().run(aligned, none).data.shape
    assert scenes.apart(mosaics[0].wcs([0, 100], [50, 9]), mosaics[1].wcs([0, 100], [50, 9])) < 1e-9


def test_what_is_not_asked_for_is_not_made(aligned, none):
    bare = Resample(enable_ctx=False, enable_err=False, report_var=False).run(aligned, none)
    whole = Resample().run(aligned, none)
    assert bare.context is None
    assert bare.var_poisson is None
    assert np.isnan(bare.err).all()
    np.testing.assert_array_equal(bare.data, whole.data)


@pytest.mark.parametrize("rotation", [0.0, 45.0, 90.0, 200.0])
def test_strips_leave_no_seams(aligned, none, rotation, monkeypatch):
    """Whatever the rows of the exposures have to do with those of the mosaic."""
    from mirific.image3 import resample

    whole = Resample(rotation=rotation).run(aligned, none)
    monkeypatch.setattr(resample, "_STRIP", 37)
    strips = Resample(rotation=rotation).run(aligned, none)
    np.testing.assert_allclose(strips.weight, whole.weight, rtol=1e-6)
    np.testing.assert_allclose(strips.data, whole.data, rtol=1e-6)
    total = sum(float(weights(image, "ivm", GOOD_BITS).sum(dtype=float)) for image in aligned.images)
    assert whole.weight.sum(dtype=float) == pytest.approx(total, rel=2e-4)


def test_images_on_disk_make_the_same_mosaic(matched, none):
    from mirific.image3 import OutlierDetection, SkyMatch
    from mirific.spool import Spool, SpooledImages

    def made(exposure):
        return Resample().run(OutlierDetection().run(SkyMatch().run(exposure, none), none), none)

    spooled = replace(matched, images=SpooledImages(Spool(), matched.images))
    here, there = made(matched), made(spooled)
    np.testing.assert_array_equal(here.data, there.data)
    np.testing.assert_array_equal(here.err, there.err)
    for mine, other in zip(here.members, there.members, strict=True):
        np.testing.assert_array_equal(mine.dq, other.dq)
        assert mine.meta == other.meta
        assert mine.flags.labels() == other.flags.labels()
