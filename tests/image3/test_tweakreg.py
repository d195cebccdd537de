from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from mirific.errors import ParameterError
from mirific.image3 import TweakReg
from tests.image3 import scenes

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
    ours = TweakReg(parity=True).run(exposure, none)
    library = TweakRegStep(sip_approx=False).process(ModelLibrary([to_model(i).copy() for i in exposure.images]))
    with library:
        for index, image in enumerate(ours.images):
            model = library.borrow(index)
            assert scenes.apart(image.wcs(*CENTRE), model.meta.wcs(*CENTRE)) < 1e-3
            assert image.meta["wcsinfo.s_region"] == model.meta.wcsinfo.s_region
            library.shelve(model, index, modify=False)


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
    result = TweakReg(abs_refcat=str(tmp_path / "stars.ecsv"), abs_minobj=8).run(exposure, none)
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
        TweakReg(separation=0.5).run(aligned, none)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ParameterError, match="RA and DEC"):
        TweakReg(abs_refcat=str(tmp_path / "no.csv")).run(aligned, none)
