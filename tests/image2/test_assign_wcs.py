from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asdf
import numpy as np
import pytest
from astropy import wcs as fits_wcs
from astropy.io import fits
from astropy.modeling import models
from hypothesis import given, settings
from hypothesis import strategies as st

from mirific.errors import BrokenWcs, ReferenceMissing
from mirific.image2 import AssignWcs
from mirific.image2.assign_wcs import build_wcs, shift_pointing
from mirific.instrument import siaf
from mirific.io.models import from_model, to_model
from mirific.references import FixedReferences
from tests.image2 import products

MAS = 3.6e6

_RATE = products.rate_image(products.Where(), np.random.default_rng(0))


def _grid(shape):
    y, x = np.mgrid[0 : shape[0] : 9, 0 : shape[1] : 9].astype(float)
    return x, y


def _apart(first, second):
    """Largest distance between two sets of sky positions, mas."""
    (ra1, dec1), (ra2, dec2) = first, second
    east = ((ra2 - ra1 + 180) % 360 - 180) * np.cos(np.radians(dec1))
    return float(np.nanmax(np.hypot(east, dec2 - dec1)) * MAS)


@pytest.mark.oracle
@pytest.mark.parametrize("subarray", ["FULL", "SUB64"])
@pytest.mark.parametrize("filter_name", ["F770W", "F2550W"])
def test_coordinates_and_keywords_equal_those_of_jwst(references, reference_paths, rng, subarray, filter_name):
    from jwst.assign_wcs import AssignWcsStep

    image = products.rate_image(products.Where(subarray, filter_name), rng)
    ours = AssignWcs().run(image, references)
    theirs = products.official(AssignWcsStep(), to_model(image).copy(), reference_paths)
    x, y = _grid(image.data.shape)
    assert _apart(ours.wcs(x, y), theirs.meta.wcs(x, y)) < 1e-6
    assert ours.wcs.bounding_box == theirs.meta.wcs.bounding_box
    expected = theirs.to_flat_dict(include_arrays=False)
    mine = to_model(ours).to_flat_dict(include_arrays=False)
    names = {name for name in (*expected, *mine) if name.startswith("meta.wcsinfo.")}
    assert names <= set(expected) & set(mine)
    texts = {name for name in names if isinstance(expected[name], str)}
    assert [mine[name] for name in texts] == [expected[name] for name in texts]
    for name in names - texts:
        accuracy = 1e-9 if name.endswith("err") else 1e-12  # SIPMXERR, SIPIVERR: sky in degrees tells 5e-10 pixel
        assert mine[name] == pytest.approx(expected[name], rel=1e-6, abs=accuracy), name
    mine, official = _fits_wcs(ours), _fits_wcs(from_model(theirs))
    sky = mine.pixel_to_world_values(x, y)
    assert _apart(sky, official.pixel_to_world_values(x, y)) < 1e-5
    focal = np.stack([x.ravel() - 36, y.ravel() - 32], axis=1)
    np.testing.assert_allclose(mine.sip_foc2pix(focal, 0), official.sip_foc2pix(focal, 0), atol=1e-6)


def test_frames_and_footprint(references, rng):
    image = AssignWcs().run(products.rate_image(products.Where(), rng), references)
    assert image.wcs.available_frames == ["detector", "v2v3", "v2v3vacorr", "world"]
    corners = np.array(image.meta["wcsinfo.s_region"].split()[2:], dtype=float).reshape(4, 2)
    edges = image.wcs([-0.5, -0.5, 71.5, 71.5], [-0.5, 63.5, 63.5, -0.5])
    np.testing.assert_allclose(corners, np.transpose(edges), atol=1e-9)


def test_the_reference_point_looks_at_the_reference_position(references, rng):
    """Without aberration and in F770W, whose offset is zero, pixel (692.5, 511.5) is at RA_REF, DEC_REF."""
    image = AssignWcs().run(products.rate_image(products.Where("FULL", va_scale=1.0), rng), references)
    ra, dec = image.wcs(siaf.X_REF, siaf.Y_REF)
    assert _apart((ra, dec), (products.RA, products.DEC)) < 0.01


def test_sip_keywords_agree_with_the_gwcs(references, rng):
    """Within the 0.01 pixel (1.1 mas) that the fit asks for."""
    image = AssignWcs().run(products.rate_image(products.Where("FULL"), rng), references)
    x, y = _grid(image.data.shape)
    assert _apart(image.wcs(x, y), _fits_wcs(image).pixel_to_world_values(x, y)) < 0.01


def _fits_wcs(image):
    names = {name: value for name, value in image.meta.items() if name.startswith("wcsinfo.")}
    header = fits.Header()
    for name, value in names.items():
        card = name.removeprefix("wcsinfo.").upper()
        if len(card) <= 8 and not card.endswith("_REF"):
            header[card] = value
    return fits_wcs.WCS(header)


@pytest.mark.parametrize(("dra", "ddec"), [(1.3, -0.4), (0.0, 4.0)])
def test_a_shift_moves_every_description_alike(references, rng, dra, ddec):
    image = AssignWcs().run(products.rate_image(products.Where(), rng), references)
    moved = shift_pointing(image, dra, ddec)
    x, y = _grid(image.data.shape)
    (ra0, dec0), (ra1, dec1) = image.wcs(x, y), moved.wcs(x, y)
    np.testing.assert_allclose((ra1 - ra0) * np.cos(np.radians(dec0)) * 3600, dra, atol=2e-3)
    np.testing.assert_allclose((dec1 - dec0) * 3600, ddec, atol=2e-3)
    assert _apart(moved.wcs(x, y), _fits_wcs(moved).pixel_to_world_values(x, y)) < 0.1
    corners = np.array(moved.meta["wcsinfo.s_region"].split()[2:], dtype=float).reshape(4, 2)
    np.testing.assert_allclose(corners, moved.wcs.footprint(center=False), atol=1e-9)
    assert moved.wcs.bounding_box == image.wcs.bounding_box


def test_a_shift_equals_assign_wcs_on_a_shifted_header(references, rng):
    rate = products.rate_image(products.Where("FULL"), rng)
    before = AssignWcs().run(shift_pointing(rate, 1.1, -0.7), references)
    after = shift_pointing(AssignWcs().run(rate, references), 1.1, -0.7)
    x, y = _grid(rate.data.shape)
    assert _apart(before.wcs(x, y), after.wcs(x, y)) < 1e-6
    assert before.meta["wcsinfo.s_region"] == after.meta["wcsinfo.s_region"]
    assert before.meta["wcsinfo.crval1"] == pytest.approx(after.meta["wcsinfo.crval1"], abs=1e-12)


def test_a_rate_image_has_only_its_pointing_changed(rng):
    rate = products.rate_image(products.Where(), rng)
    moved = shift_pointing(rate, 3.6, -1.8)
    changed = {name for name in rate.meta if rate.meta[name] != moved.meta[name]}
    assert changed == {"wcsinfo.ra_ref", "wcsinfo.dec_ref"}
    assert moved.meta["wcsinfo.dec_ref"] == pytest.approx(products.DEC - 0.0005, abs=1e-9)
    assert moved.wcs is None


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-89.5, 89.5),
    dra=st.floats(-10, 10),
    ddec=st.floats(-10, 10),
)
def test_a_shift_is_as_long_as_asked_everywhere_on_the_sky(ra, dec, dra, ddec):
    moved = shift_pointing(_RATE.with_meta({"wcsinfo.ra_ref": ra, "wcsinfo.dec_ref": dec}), dra, ddec)
    ra1, dec1 = np.radians([moved.meta["wcsinfo.ra_ref"], moved.meta["wcsinfo.dec_ref"]])
    ra0, dec0 = np.radians([ra, dec])
    hav = np.sin((dec1 - dec0) / 2) ** 2 + np.cos(dec0) * np.cos(dec1) * np.sin((ra1 - ra0) / 2) ** 2
    assert np.degrees(2 * np.arcsin(np.sqrt(hav))) * 3600 == pytest.approx(np.hypot(dra, ddec), abs=1e-6)
    assert 0 <= moved.meta["wcsinfo.ra_ref"] < 360


def test_a_correction_of_tweakreg_survives_a_shift(references, rng):
    from tweakwcs.correctors import JWSTWCSCorrector

    image = AssignWcs().run(products.rate_image(products.Where(), rng), references)
    info = {name: image.meta[f"wcsinfo.{name}"] for name in ("roll_ref", "v2_ref", "v3_ref")}
    corrector = JWSTWCSCorrector(wcs=image.wcs, wcsinfo=info)
    corrector.set_correction(shift=(0.5, -0.2))
    tweaked = replace(image, wcs=corrector.wcs)
    x, y = _grid(image.data.shape)
    shift = _apart(image.wcs(x, y), tweaked.wcs(x, y))
    assert shift == pytest.approx(np.hypot(0.5, 0.2) * 1000, abs=1.0)
    both = _apart(shift_pointing(image, 0, 1).wcs(x, y), shift_pointing(tweaked, 0, 1).wcs(x, y))
    assert both == pytest.approx(shift, abs=0.1)


@pytest.mark.parametrize("name", ["ra_ref", "dec_ref", "roll_ref", "v2_ref", "v3_ref"])
def test_a_header_without_pointing_is_refused(references, rng, name):
    image = products.rate_image(products.Where(), rng).with_meta({f"wcsinfo.{name}": None})
    with pytest.raises(BrokenWcs, match=name.upper()):
        AssignWcs().run(image, references)


def test_a_filter_without_offset_is_refused(references, rng):
    image = products.rate_image(products.Where(filter="F770W"), rng).with_meta({"instrument.filter": "F1065C"})
    with pytest.raises(ReferenceMissing, match="F1065C"):
        AssignWcs().run(image, references)


@pytest.mark.parametrize(
    ("kind", "tree"),
    [
        ("distortion", {"model": None}),
        ("distortion", {"model": models.Shift(1.0)}),
        ("distortion", {"model": models.Shift(np.nan) & models.Shift(1.0)}),
        ("distortion", {"models": 1}),
        ("filteroffset", {"filters": None}),
        ("filteroffset", {"filters": [1]}),
        ("filteroffset", {"filters": [{"filter": "F770W"}]}),
        ("filteroffset", {"filters": [{"filter": "F770W", "column_offset": "x", "row_offset": 1.0}]}),
    ],
)
def test_references_of_other_things_are_refused(reference_paths, rng, tmp_path, kind, tree):
    asdf.AsdfFile(tree).write_to(tmp_path / "odd.asdf")
    references = FixedReferences({**reference_paths, kind: tmp_path / "odd.asdf"})
    with pytest.raises(ReferenceMissing, match=f"odd|{kind}"):
        AssignWcs().run(products.rate_image(products.Where(filter="F770W"), rng), references)


@pytest.mark.parametrize("name", ["column_offset", "row_offset"])
def test_coordinates_that_are_not_finite_are_refused(reference_paths, rng, tmp_path, name):
    offsets = {"filter": "F770W", "column_offset": 0.0, "row_offset": 0.0, name: np.nan}
    asdf.AsdfFile({"filters": [offsets]}).write_to(tmp_path / "odd.asdf")
    references = FixedReferences({**reference_paths, "filteroffset": tmp_path / "odd.asdf"})
    for approximate in (True, False):
        with pytest.raises(BrokenWcs, match="finite"):
            AssignWcs(sip_approx=approximate).run(products.rate_image(products.Where(filter="F770W"), rng), references)


@pytest.mark.realdata
def test_the_flight_distortion_gives_the_published_positions(shared_data: Path, rng):
    """FLT-9 test vectors of miricoord: V2, V3 of two pixels to the printed digits."""
    folder = shared_data / "references"
    with (
        asdf.open(folder / "jwst_miri_imager_distortion_flt9.asdf", lazy_load=False, memmap=False) as distortion,
        asdf.open(folder / "jwst_miri_filteroffset_full_flt9.asdf", lazy_load=False, memmap=False) as offsets,
    ):
        image = products.rate_image(products.Where("FULL"), rng)
        wcs = build_wcs(image.meta, image.data.shape, distortion.tree["model"], offsets.tree["filters"])
    v2, v3 = wcs.get_transform("detector", "v2v3")(np.array([692.5, 511.5]), np.array([511.5, 511.5]))
    np.testing.assert_allclose(v2, [-453.34829, -433.41692], atol=1e-5)
    np.testing.assert_allclose(v3, [-373.66795, -375.27358], atol=1e-5)


@pytest.mark.realdata
@pytest.mark.oracle
@pytest.mark.parametrize("filter_name", ["F560W", "F770W", "F1800W", "F2550W"])
def test_the_flight_distortion_on_the_sky_equals_jwst(shared_data: Path, rng, filter_name):
    """Over the whole detector, to far less than the 1e-4 mas asked for."""
    from jwst.assign_wcs import AssignWcsStep

    folder = shared_data / "references"
    paths = {
        "distortion": folder / "jwst_miri_imager_distortion_flt9.asdf",
        "filteroffset": folder / "jwst_miri_filteroffset_full_flt9.asdf",
    }
    image = products.rate_image(products.Where("FULL", filter_name), rng)
    ours = AssignWcs().run(image, FixedReferences(paths))
    theirs = products.official(AssignWcsStep(), to_model(image).copy(), paths)
    x, y = _grid(image.data.shape)
    assert _apart(ours.wcs(x, y), theirs.meta.wcs(x, y)) < 1e-6
