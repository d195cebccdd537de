from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from mirific.errors import InputError, ParameterError
from mirific.image2.assign_wcs import shift_pointing
from mirific.image3 import TweakReg
from mirific.parity.tweakreg import OfficialTweakReg
from tests.image3 import oracle, scenes

CENTRE = (np.array([30.0, 128.0, 220.0]), np.array([200.0, 128.0, 40.0]))


def _dithers(*errors):
    return tuple(replace(d, error=e) for d, e in zip(scenes.DITHERS, errors, strict=False))


def _misplaced(exposure, truth):
    """Distance of the stated from the true positions, relative to the first exposure, mas."""
    offsets = []
    for image, true in zip(exposure.images, truth.images, strict=True):
        (ra, dec), (ra0, dec0) = image.wcs(*CENTRE), true.wcs(*CENTRE)
        offsets.append(np.array([(ra - ra0) * np.cos(np.radians(dec0)), dec - dec0]).mean(axis=1) * 3.6e6)
    return [float(np.hypot(*(offset - offsets[0]))) for offset in offsets]


def test_pointing_errors_are_taken_out(none):
    truth = scenes.exposures(seed=6)
    exposure = scenes.exposures(seed=6, dithers=_dithers((0, 0), (0.4, -0.3), (-0.8, 0.2), (0.1, 0.9)))
    assert max(_misplaced(exposure, truth)) > 500
    result = TweakReg().run(exposure, none)
    assert max(_misplaced(result, truth)) < 10
    for image in result.images:
        assert image.meta["cal_step.tweakreg"] == "COMPLETE"
    moved = [new for old, new in zip(exposure.images, result.images, strict=True) if new.wcs is not old.wcs]
    assert len(moved) == 3
    for image in moved:
        corners = np.array(image.meta["wcsinfo.s_region"].split()[2:], dtype=float).reshape(4, 2)
        np.testing.assert_allclose(corners, image.wcs.footprint(center=False), atol=1e-9)


@pytest.mark.oracle
def test_coordinates_are_those_of_jwst(none):
    from jwst.datamodels import ModelLibrary
    from jwst.tweakreg import TweakRegStep

    from mirific.io.models import to_model

    exposure = scenes.exposures(seed=6, dithers=_dithers((0, 0), (0.4, -0.3), (-0.8, 0.2), (0.1, 0.9)))
    ours = OfficialTweakReg().run(exposure, none)
    library = TweakRegStep(sip_approx=False).process(ModelLibrary([to_model(i).copy() for i in exposure.images]))
    with library:
        for index, image in enumerate(ours.images):
            model = library.borrow(index)
            assert scenes.apart(image.wcs(*CENTRE), model.meta.wcs(*CENTRE)) < 1e-3
            assert image.meta["wcsinfo.s_region"] == model.meta.wcsinfo.s_region
            library.shelve(model, index, modify=False)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "parameters",
    [
        {
            "starfinder": "segmentation",
            "npixels": 6,
            "connectivity": 4,
            "kron_params": "2.5 1.0",
            "minobj": 10,
            "nlevels": 16,
            "contrast": 0.01,
            "multithresh_mode": "linear",
            "localbkg_width": 8,
            "apermask_method": "mask",
        },
        {"starfinder": "dao", "minsep_fwhm": 3.0, "sigma_radius": 2.0, "roundlo": -1.0, "roundhi": 1.0, "sharplo": 0.2},
        {"peakmax": 60.0, "minobj": 8, "enforce_user_order": True},
        {"use2dhist": False, "searchrad": 0.3, "xoffset": 3.0, "yoffset": -0.2, "minobj": 8},
    ],
    ids=str,
)
def test_parameters_mean_what_they_mean_to_jwst(none, parameters):
    exposure = scenes.exposures(seed=6, dithers=_dithers((0, 0), (0.4, -0.3)))
    step = OfficialTweakReg(**parameters)
    plain, ours = (kind.run(exposure, none).images for kind in (OfficialTweakReg(), step))
    theirs = oracle.tweaked(exposure.images, step)
    apart = [scenes.apart(mine.wcs(*CENTRE), other.wcs(*CENTRE)) for mine, other in zip(ours, theirs, strict=True)]
    changed = [scenes.apart(mine.wcs(*CENTRE), other.wcs(*CENTRE)) for mine, other in zip(ours, plain, strict=True)]
    assert max(apart) < 1e-3
    assert max(changed) > 0.1


def test_one_lost_exposure_does_not_cancel_the_others(none):
    """Five arcseconds off and almost without stars: it cannot be aligned, the others are."""
    truth = scenes.exposures(seed=7)
    exposure = scenes.exposures(seed=7, dithers=_dithers((0, 0), (0.4, -0.3), (-0.3, 0.2), (0.0, 0.0)))
    empty = replace(exposure.images[3], data=np.full_like(exposure.images[3].data, 20.0))
    result = TweakReg().run(exposure.with_images((*exposure.images[:3], empty)), none)
    assert [i.meta["cal_step.tweakreg"] for i in result.images] == ["COMPLETE"] * 3 + ["SKIPPED"]
    assert result.images[3].history[-1].reason
    assert max(_misplaced(result, truth)[:3]) < 10


def test_an_absolute_catalogue_places_every_visit(none, tmp_path):
    dithers = (
        scenes.Dither(error=(0.5, 0.2)),
        scenes.Dither(2.3, 1.2, error=(0.5, 0.2)),
        scenes.Dither(-1.7, 2.6, error=(-0.6, 0.4), visit="002"),
        scenes.Dither(1.1, -2.5, error=(-0.6, 0.4), visit="002"),
    )
    exposure = scenes.exposures(seed=9, dithers=dithers)
    truth = scenes.exposures(seed=9, dithers=tuple(replace(d, error=(0.0, 0.0)) for d in dithers))
    field = scenes.make_field(np.random.default_rng(9), 60, "SUB256")
    Table({"ra": field.ra, "dec": field.dec}).write(tmp_path / "stars.ecsv")
    result = TweakReg(abs_refcat=str(tmp_path / "stars.ecsv")).run(exposure, none)
    for image, true in zip(result.images, truth.images, strict=True):
        assert scenes.apart(image.wcs(*CENTRE), true.wcs(*CENTRE)) < 15
        assert image.meta["cal_step.tweakreg"] == "COMPLETE"


def test_no_stars_at_all_is_a_skip_for_every_exposure(none):
    exposure = scenes.exposures(seed=10, stars=1)
    result = TweakReg().run(exposure, none)
    assert {i.meta["cal_step.tweakreg"] for i in result.images} == {"SKIPPED"}
    assert all(old.wcs is new.wcs for old, new in zip(exposure.images, result.images, strict=True))


def test_bad_parameters_are_refused(aligned, none, tmp_path):
    with pytest.raises(ParameterError, match="separation"):
        OfficialTweakReg(separation=0.5).run(aligned, none)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ParameterError, match="two or three numbers"):
        OfficialTweakReg(kron_params="1").run(aligned, none)
    with pytest.raises(InputError, match="RA and DEC"):
        TweakReg(abs_refcat=str(tmp_path / "no.csv")).run(aligned, none)


TWO_VISITS = (
    scenes.Dither(),
    scenes.Dither(2.3, 1.2),
    scenes.Dither(-1.7, 2.6, visit="002"),
    scenes.Dither(1.1, -2.5, visit="002"),
)


def _spoiled(truth, east, north, roll=0.0):
    """The second visit with a wrong pointing."""
    images = [
        image if image.meta["observation.visit_number"] == "001" else shift_pointing(image, east, north, droll=roll)
        for image in truth.images
    ]
    return truth.with_images(tuple(images))


def test_a_visit_moves_as_a_rigid_body(none):
    truth = scenes.exposures(seed=11, dithers=TWO_VISITS)
    result = TweakReg().run(_spoiled(truth, -3.9, 2.8), none)
    assert max(_misplaced(result, truth)) < 10
    for image in result.images:
        assert image.meta["cal_step.tweakreg"] == "COMPLETE"
    between = [i.meta["wcsinfo.dec_ref"] for i in result.images]
    before = [i.meta["wcsinfo.dec_ref"] for i in truth.images]
    for first, second in ((0, 1), (2, 3)):
        assert (between[first] - between[second]) == pytest.approx(before[first] - before[second], abs=5e-3 / 3600)


def test_aligned_exposures_stay_where_they_are(none):
    truth = scenes.exposures(seed=12, dithers=TWO_VISITS)
    result = TweakReg().run(truth, none)
    for old, new in zip(truth.images, result.images, strict=True):
        assert scenes.apart(new.wcs(*CENTRE), old.wcs(*CENTRE)) < 5
        assert new.meta["cal_step.tweakreg"] == "COMPLETE"


def test_a_turned_visit_is_turned_back(none):
    truth = scenes.exposures(seed=13, dithers=TWO_VISITS, stars=120)
    result = TweakReg().run(_spoiled(truth, 0.8, -0.5, 0.1), none)
    corners = (np.array([5.0, 250.0, 5.0, 250.0]), np.array([5.0, 5.0, 250.0, 250.0]))
    drift = np.array(result.images[0].wcs(*corners)) - truth.images[0].wcs(*corners)
    for image, true in zip(result.images, truth.images, strict=True):
        assert scenes.apart(np.array(image.wcs(*corners)) - drift, true.wcs(*corners)) < 10
    turned = result.images[2].meta["wcsinfo.roll_ref"] - truth.images[2].meta["wcsinfo.roll_ref"]
    kept = result.images[0].meta["wcsinfo.roll_ref"] - truth.images[0].meta["wcsinfo.roll_ref"]
    assert turned - kept == pytest.approx(0.0, abs=0.01)


def test_no_rotation_is_asked_for_or_few_stars_carry_none(none):
    truth = scenes.exposures(seed=13, dithers=TWO_VISITS, stars=120)
    wrong = _spoiled(truth, 0.8, -0.5, 0.1)
    rolls = [image.meta["wcsinfo.roll_ref"] for image in wrong.images]
    shifted = TweakReg(fitgeometry="shift").run(wrong, none)
    assert [i.meta["wcsinfo.roll_ref"] for i in shifted.images] == pytest.approx(rolls, abs=1e-3)
    few = _spoiled(scenes.exposures(seed=15, dithers=TWO_VISITS, stars=9), 0.8, -0.5)
    aligned = TweakReg().run(few, none)
    rolls = [image.meta["wcsinfo.roll_ref"] for image in few.images]
    assert [i.meta["wcsinfo.roll_ref"] for i in aligned.images] == pytest.approx(rolls, abs=1e-3)


def test_one_exposure_that_left_its_visit_is_brought_back(none):
    truth = scenes.exposures(seed=14, dithers=TWO_VISITS)
    wrong = list(_spoiled(truth, 1.2, 0.4).images)
    wrong[3] = shift_pointing(wrong[3], -0.7, 0.9)
    result = TweakReg().run(truth.with_images(tuple(wrong)), none)
    assert max(_misplaced(result, truth)) < 10


def _sky_table(seed, path, **columns):
    field = scenes.make_field(np.random.default_rng(seed), 60, "SUB256")
    table = Table({"ra": field.ra, "dec": field.dec})
    for name, value in columns.items():
        table[name] = value
    table.write(path)
    return table


def _displaced(result, truth):
    return [scenes.apart(i.wcs(*CENTRE), t.wcs(*CENTRE)) for i, t in zip(result.images, truth.images, strict=True)]


def test_proper_motions_bring_the_catalogue_to_the_epoch(none, tmp_path):
    """Stars that all move alike shift an old catalogue by half an arcsecond; taking that for fixed is wrong."""
    truth = scenes.exposures(seed=9, dithers=TWO_VISITS)
    _sky_table(9, tmp_path / "plain.ecsv")
    table = Table.read(tmp_path / "plain.ecsv")
    from astropy.time import Time

    years = Time(truth.images[0].meta["observation.date"]).decimalyear - 2016.0
    table["pmra"], table["pmdec"] = 60.0, -40.0
    table["ref_epoch"] = 2016.0
    table["ra"] -= years * 60.0 / 3.6e6 / np.cos(np.radians(table["dec"]))
    table["dec"] += years * 40.0 / 3.6e6
    table.write(tmp_path / "gaia.ecsv")
    result = TweakReg(abs_refcat=str(tmp_path / "gaia.ecsv")).run(_spoiled(truth, 1.0, 0.0), none)
    assert max(_displaced(result, truth)) < 15
    table.remove_columns(["pmra", "pmdec"])
    table.write(tmp_path / "still.ecsv")
    result = TweakReg(abs_refcat=str(tmp_path / "still.ecsv")).run(truth, none)
    assert min(_displaced(result, truth)) > 50 * abs(years)


def test_a_few_stars_of_the_catalogue_place_every_visit(none, tmp_path):
    truth = scenes.exposures(seed=9, dithers=TWO_VISITS)
    table = _sky_table(9, tmp_path / "all.ecsv")
    x, y = truth.images[0].wcs.invert(table["ra"], table["dec"], with_bounding_box=False)
    bright = np.flatnonzero((x > 40) & (x < 215) & (y > 40) & (y < 215))[:4]
    table[bright].write(tmp_path / "few.ecsv")
    result = TweakReg(abs_refcat=str(tmp_path / "few.ecsv")).run(_spoiled(truth, -2.0, 1.0), none)
    assert max(_displaced(result, truth)) < 25
    assert all("against the catalogue" in image.history[-1].reason for image in result.images)


def test_a_catalogue_of_another_sky_is_not_believed(none, tmp_path):
    truth = scenes.exposures(seed=9, dithers=TWO_VISITS)
    table = _sky_table(10, tmp_path / "other.ecsv")
    assert len(table) == 60
    result = TweakReg(abs_refcat=str(tmp_path / "other.ecsv")).run(_spoiled(truth, 1.0, 0.5), none)
    assert max(_misplaced(result, truth)) < 10
    assert all("no match with the catalogue" in image.history[-1].reason for image in result.images)


def test_keywords_gwcs_and_region_agree_after_the_correction(none):
    """FITS readers see what the GWCS says, to 1 mas over the subarray."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    truth = scenes.exposures(seed=11, dithers=TWO_VISITS, stars=120)
    for image in TweakReg().run(_spoiled(truth, 1.4, -0.9, 0.1), none).images:
        prefix = "wcsinfo."
        cards = {k.removeprefix(prefix).upper(): v for k, v in image.meta.items() if k.startswith(prefix)}
        header = Header({k: v for k, v in cards.items() if v is not None and len(k) <= 8})
        x, y = np.meshgrid(np.linspace(0, 255, 9), np.linspace(0, 255, 9))
        assert scenes.apart(WCS(header).all_pix2world(x, y, 0), image.wcs(x, y)) < 1.0
        corners = np.array(image.meta["wcsinfo.s_region"].split()[2:], dtype=float).reshape(4, 2)
        np.testing.assert_allclose(corners, image.wcs.footprint(center=False), atol=1e-9)
        reference = image.wcs.get_transform("v2v3vacorr", "world")(
            image.meta["wcsinfo.v2_ref"], image.meta["wcsinfo.v3_ref"]
        )
        assert scenes.apart(reference, (cards["RA_REF"], cards["DEC_REF"])) < 1e-3


def test_moving_targets_are_not_aligned_by_stars(none):
    truth = scenes.exposures(seed=11, dithers=TWO_VISITS)
    moving = _spoiled(truth, 1.0, 0.0)
    moving = moving.with_images(tuple(i.with_meta({"target.type": "MOVING"}) for i in moving.images))
    result = TweakReg().run(moving, none)
    assert "moves" in result.history[-1].reason
    assert all(old.wcs is new.wcs for old, new in zip(moving.images, result.images, strict=True))
