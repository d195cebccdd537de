"""Effects: what was asked for is there; what was not asked for leaves every byte alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mirific.errors import ParameterError
from mirific.instrument import regions, siaf
from mirific.simulate import Programme, Scene, make_effect
from mirific.simulate.effects import EFFECTS, effect_class
from mirific.simulate.frame import Frame, observe
from mirific.simulate.metadata import exposure_metadata
from mirific.simulate.pointing import separation
from mirific.simulate.ramps import raw_ramp
from mirific.simulate.write import frames_of

PLAIN = Scene(stars=0.0, galaxies=0.0, background_scatter=0.0)

#: For each effect, the parameters with which it does nothing.
NOTHING = {
    "bad_pixels": {"hot": 0, "dead": 0, "columns": ()},
    "edge_brightening": {"fraction": 0.0},
    "fgs_offset": {"scale": 0.0},
    "interference": {"amplitude": 0.0},
    "knife_edge": {"growth": 0.0},
    "lyot_offset": {"fraction": 0.0},
    "outlier_overflagging": {"cause": "none"},
    "persistence": {"deficit": 0.0},
    "residual_background": {"level": 0.0, "gradient": 0.0, "curvature": 0.0},
    "scar": {"fraction": 0.0, "streak": 0.0},
    "showers": {"amplitude": (0.0, 0.0)},
    "throughput_loss": {"loss": 0.0},
    "tile_misalignment": {"offset": 0.0},
    "tree_rings": {"rings": 0.0, "columns": 0.0, "rows": 0.0},
}


def full_frame(slug: str, filter_name: str = "F1500W", **parameters: object) -> Frame:
    """First full-frame exposure with one effect, background only."""
    programme = Programme(
        filters=(filter_name,), ndithers=1, ngroups=10, scene=PLAIN, effects=(make_effect(slug, parameters),)
    )
    return observe(programme, programme.exposures[0])


def test_every_issue_has_its_effect_and_its_nothing():
    assert set(NOTHING) == set(EFFECTS)
    assert all(effect_class(slug).name == slug for slug in EFFECTS)


@pytest.mark.parametrize("slug", list(EFFECTS))
def test_zero_amplitude_changes_nothing(slug: str):
    plain = Programme(filters=("F1500W",), subarray="SUB64", tiles=(2, 1), ndithers=1, ngroups=6)
    nothing = replace(plain, effects=(make_effect(slug, NOTHING[slug]),))
    for a, b in zip(frames_of(plain), frames_of(nothing), strict=True):
        np.testing.assert_array_equal(raw_ramp(a, 1, 54.0), raw_ramp(b, 1, 54.0))
        assert exposure_metadata(plain, a.exposure) == exposure_metadata(nothing, b.exposure)
        assert not b.artifact(slug).any()


@pytest.mark.parametrize(
    "slug", sorted(set(EFFECTS) - {"fgs_offset", "tile_misalignment", "outlier_overflagging", "interference"})
)
def test_default_amplitude_changes_the_full_frame_inside_its_mask_only(slug: str):
    frame = full_frame(slug)
    artifact = frame.artifact(slug)
    mask = frame.contributions[slug].mask
    assert np.count_nonzero(artifact) > 50
    if mask is not None:
        assert np.count_nonzero(artifact[~mask]) < 20 * np.count_nonzero(mask)


def test_unknown_effects_and_parameters_are_refused():
    with pytest.raises(ParameterError, match="ghosts"):
        make_effect("ghosts")
    with pytest.raises(ParameterError, match="brightness"):
        make_effect("scar", {"brightness": 2})
    with pytest.raises(ParameterError):
        make_effect("outlier-overflagging", {"cause": "weather"})


def test_hyphens_are_underscores():
    assert make_effect("bad-pixels") == make_effect("bad_pixels")


def test_lyot_offset_is_its_fraction_of_the_background_in_the_lyot_only():
    frame = full_frame("lyot_offset", "F2550W", fraction=0.023)
    artifact = frame.artifact("lyot_offset")
    np.testing.assert_allclose(artifact[regions.lyot()], 0.023 * 855.0, rtol=1e-5)
    assert not artifact[~regions.lyot()].any()


def test_misaligned_visit_is_off_by_what_was_asked_and_its_header_does_not_know():
    effect = make_effect("tile-misalignment", {"offset": 1.2, "angle": 30.0, "visits": (2,)})
    programme = Programme(tiles=(2, 1), ndithers=2, pointing_scatter=0.0, effects=(effect,))
    plain = replace(programme, effects=())
    for item, same in zip(programme.exposures, plain.exposures, strict=True):
        error = separation(item.true.ra_ref, item.true.dec_ref, item.assumed.ra_ref, item.assumed.dec_ref)
        expected = (0.6, 1.2 * np.cos(np.radians(30.0))) if item.visit == 2 else (0.0, 0.0)
        np.testing.assert_allclose(error, expected, atol=1e-6)
        assert exposure_metadata(programme, item) == exposure_metadata(plain, same)


def test_bad_pixels_are_as_many_as_asked_and_the_same_in_all_exposures():
    effect = make_effect("bad-pixels", {"hot": 40, "dead": 30, "columns": (700,)})
    programme = Programme(ndithers=2, scene=PLAIN, effects=(effect,))
    first, second = (frame.contributions["bad_pixels"] for frame in frames_of(programme))
    assert first.charge is not None
    assert first.transmission is not None
    assert np.count_nonzero(first.charge) in range(38, 41)
    np.testing.assert_array_equal(first.transmission[:, 700], 0.0)
    assert np.count_nonzero(np.delete(first.transmission, 700, axis=1) == 0.0) in range(28, 31)
    np.testing.assert_array_equal(first.charge, second.charge)
    np.testing.assert_array_equal(first.transmission, second.transmission)
    rates = first.charge[first.charge > 0]
    assert 30.0 <= rates.min() <= rates.max() <= 600.0
    assert {(event["y"], event["x"]) for event in first.events if event["kind"] == "hot"} == set(
        zip(*(axis.tolist() for axis in np.nonzero(first.charge)), strict=True)
    )


def test_shower_releases_its_charge_exponentially_from_its_start():
    frame = full_frame("showers", count=1, amplitude=(2.0, 2.0), efold=(15.0, 15.0), size=(30.0, 30.0))
    (term,), (event,) = frame.contributions["showers"].terms, frame.contributions["showers"].events
    seconds = frame.exposure.frame_time
    ends = seconds * np.arange(1, 11)
    released = np.clip(1.0 - np.exp(-np.clip(ends - event["start_s"], 0, None) / 15.0), 0, None) * 15.0
    np.testing.assert_allclose(np.cumsum(term.profile[0]) * seconds, released, rtol=1e-6, atol=1e-9)
    assert event["peak_dn_s"] == pytest.approx(2.0)
    assert 0.5 * 2.0 < term.image.max() < 2.2 * 2.0


def test_shower_signal_to_noise_agrees_with_the_rule_of_thumb():
    """1 DN/s over 100 pixels for 30 s in F1000W: about 10 (known issues, bar of the showers)."""
    programme = Programme(filters=("F1000W",), ndithers=1, ngroups=40, scene=PLAIN)
    from mirific.simulate.effects.base import RampTerm, View
    from mirific.simulate.effects.showers import _matched_snr

    frame = observe(programme, programme.exposures[0])
    view = View(frame.exposure, 1, 0.0, 12.47, frame.conversion, 4.0, 6.0, 52500.0, frame.light)
    profile = np.zeros((1, 40))
    profile[0, 10:21] = 1.0
    term = RampTerm((500, 600), np.ones((10, 10), dtype=np.float32), profile)
    assert _matched_snr(view, term) == pytest.approx(9.4, rel=0.05)


def test_showers_come_at_their_rate_and_look_different():
    effect = make_effect("showers", {"interval": 10.0, "efold": (10.0, 20.0)})
    programme = Programme(ndithers=6, ngroups=40, scene=PLAIN, effects=(effect,))
    counts = [len(frame.contributions["showers"].terms) for frame in frames_of(programme)]
    assert sum(counts) == pytest.approx(6 * (111.0 + 20.0) / 10.0, abs=4 * np.sqrt(80))
    assert len(set(counts)) > 1


def test_persistence_decays_as_measured_in_flight():
    """A tenth of the initial deficit is left after 5.16 h."""
    maxima = []
    for age in (0.0, 5.16):
        frame = full_frame("persistence", deficit=0.0185, age=age, own=False)
        transmission = frame.contributions["persistence"].transmission
        assert transmission is not None
        maxima.append(1.0 - float(transmission.min()))
    assert maxima[0] == pytest.approx(0.0185, rel=0.03)
    assert maxima[1] / maxima[0] == pytest.approx(0.1, abs=0.005)


def test_own_stars_leave_deficits_in_the_next_exposure():
    scene = Scene(stars=20.0, star_flux=(20.0, 200.0), galaxies=0.0, background_scatter=0.0)
    effect = make_effect("persistence", {"spots": 0, "lines": 0})
    programme = Programme(
        filters=("F770W",), subarray="BRIGHTSKY", ndithers=2, ngroups=100, scene=scene, effects=(effect,)
    )
    first, second = frames_of(programme)
    filled = first.filled()
    assert filled.sum() > 5
    lost = 1.0 - second.contributions["persistence"].transmission
    np.testing.assert_allclose(lost[filled], 0.0185, rtol=0.03)
    assert not lost[~filled].any()
    assert not (1.0 - first.contributions["persistence"].transmission).any()


def test_scar_makes_two_stripes_parallel_to_it():
    frame = full_frame("scar", "F2100W", fraction=0.02, angle=45.0)
    artifact = frame.artifact("scar")
    x0, y0 = regions.SCAR_CENTRE
    distance = 4.0 + 0.35 * 20.80
    along = np.arange(-4, 5)
    for side in (-1, 1):
        x = x0 + (along - side * distance) * np.sqrt(0.5)
        y = y0 + (along + side * distance) * np.sqrt(0.5)
        stripe = artifact[np.rint(y).astype(int), np.rint(x).astype(int)]
        np.testing.assert_allclose(stripe, 0.02 * 215.0, rtol=0.05)
    assert artifact[round(y0), round(x0)] < 0.1 * stripe.mean()


def test_scar_spreads_a_star_across_itself():
    programme = Programme(
        filters=("F560W",), ndithers=1, scene=PLAIN, effects=(make_effect("scar", {"fraction": 0.0}),)
    )
    frame = observe(programme, programme.exposures[0])
    bright = frame.light.copy()
    x0, y0 = (round(value) for value in regions.SCAR_CENTRE)
    bright[y0 - 1 : y0 + 2, x0 - 1 : x0 + 2] += 1000.0
    from mirific.simulate.effects.base import View

    view = View(frame.exposure, 1, 0.0, frame.background, frame.conversion, 4.0, 6.0, 52500.0, bright)
    light = make_effect("scar", {"fraction": 0.0}).contribute(view).light
    assert light is not None
    assert light[y0 + 7, x0 - 7] > 5 * light[y0 + 7, x0 + 7]
    assert light[y0 - 7, x0 + 7] > 5 * light[y0 - 7, x0 - 7]


def test_edges_are_bright_left_and_bottom_only():
    artifact = full_frame("edge_brightening", fraction=0.03, unevenness=0.0).artifact("edge_brightening")
    level = 0.03 * 39.6
    assert artifact[600, 359] == pytest.approx(level, rel=0.01)
    assert artifact[0, 700] == pytest.approx(level, rel=0.01)
    assert artifact[600, 359 + 15] == pytest.approx(level / np.e, rel=0.02)
    assert artifact[1000, 1000] < 1e-6 * level
    assert not artifact[~regions.imager()].any()


def test_tree_rings_have_the_rms_that_was_asked():
    frame = full_frame("tree_rings", rings=0.005, columns=0.0, rows=0.0)
    charge = frame.contributions["tree_rings"].charge
    assert charge is not None
    level = frame.background / frame.conversion
    assert charge[regions.light_sensitive()].std() / level == pytest.approx(0.005, rel=0.02)


def test_columns_vary_in_part_from_exposure_to_exposure():
    effect = make_effect("tree-rings", {"rings": 0.0, "rows": 0.0, "columns": 0.01, "variation": 0.3})
    programme = Programme(ndithers=2, scene=PLAIN, effects=(effect,))
    first, second = (frame.contributions["tree_rings"].charge[0, 4:1028] for frame in frames_of(programme))
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(1 - 0.09, abs=0.03)


def test_background_rises_by_level_and_gradient():
    artifact = full_frame("residual_background", level=0.05, gradient=0.02, angle=0.0, curvature=0.0)
    image = artifact.artifact("residual_background") / 39.6
    assert float(image.mean()) == pytest.approx(0.05, rel=1e-3)
    assert float(image[500, -1] - image[500, 0]) == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "lost"), [("F560W", 0.1 * (5.6326 / 25.2) ** 3.5), ("F2550W", 0.1 * (25.23 / 25.2) ** 3.5)]
)
def test_loss_grows_with_wavelength(name: str, lost: float):
    frame = full_frame("throughput_loss", name, loss=0.1)
    transmission = frame.contributions["throughput_loss"].transmission
    assert transmission is not None
    assert float(1 - transmission.mean()) == pytest.approx(lost, rel=1e-3)


def test_old_boresight_is_in_the_header_only():
    programme = Programme(ndithers=1, effects=(make_effect("fgs-offset"),))
    exposure = programme.exposures[0]
    header = exposure_metadata(programme, exposure)
    assert header["wcsinfo.v3_ref"] == pytest.approx(-373.810549)
    assert header["wcsinfo.v2_ref"] == pytest.approx(-453.37849)
    assert header["prd_software_version"] == "PRDOPSSOC-070"
    assert exposure.true.v3_ref == siaf.V3_REF


def test_knife_edge_grows_by_what_was_asked():
    mask = full_frame("knife_edge", growth=4.0).contributions["knife_edge"].mask
    assert mask is not None
    known = regions.knife_edge()
    assert not (mask & known).any()
    tip = int(np.flatnonzero(known[349])[-1])
    assert mask[349, tip + 1 : tip + 5].all()
    assert not mask[349, tip + 5]


@pytest.mark.parametrize("cause", ["misaligned", "background", "none"])
def test_labelled_cases_have_one_cause_each(cause: str):
    effect = make_effect("outlier-overflagging", {"cause": cause})
    programme = Programme(
        tiles=(2, 1), ndithers=1, subarray="SUB256", pointing_scatter=0.0, scene=PLAIN, effects=(effect,)
    )
    second = list(frames_of(programme))[1]
    error = np.hypot(*separation(
        second.exposure.true.ra_ref, second.exposure.true.dec_ref,
        second.exposure.assumed.ra_ref, second.exposure.assumed.dec_ref,
    ))  # fmt: skip
    assert error == pytest.approx(1.0 if cause == "misaligned" else 0.0, abs=1e-6)
    assert second.artifact("outlier_overflagging").any() == (cause == "background")


def test_interference_runs_through_the_readout():
    """Frames of SUB64 take 33.25 periods: every fourth group meets the wave as the first one did."""
    plain = Programme(filters=("F770W",), subarray="SUB64", ndithers=1, ngroups=6, nints=2, scene=PLAIN)
    disturbed = replace(plain, effects=(make_effect("interference", {"amplitude": 200.0}),))
    (before,), (after,) = frames_of(plain), frames_of(disturbed)
    wave = raw_ramp(after, 1).astype(float) - raw_ramp(before, 1).astype(float)
    assert wave.std() == pytest.approx(200.0 / np.sqrt(2.0), rel=0.02)
    np.testing.assert_allclose(wave[0, 4], wave[0, 0], rtol=0, atol=2.0)
    np.testing.assert_allclose(wave[0, 2], -wave[0, 0], rtol=0, atol=2.0)
    np.testing.assert_allclose(wave[1, 0], -wave[0, 5], rtol=0, atol=2.0)
    (event,) = after.contributions["interference"].events
    assert wave[0, 0, 0, 0] == pytest.approx(200.0 * np.sin(2 * np.pi * event["phase"]), abs=2.0)
    with pytest.raises(ParameterError, match="above zero"):
        make_effect("interference", {"frequency": 0.0})
