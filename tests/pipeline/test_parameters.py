"""Parameters of stages 2 and 3: those of the official steps, with the same defaults; and those that there are not."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from mirific.errors import ParameterError
from mirific.pipeline.settings import Settings
from mirific.pipeline.steps import StepsByName
from mirific.step import parameters_of

pytestmark = pytest.mark.oracle

MEMORY = {"in_memory": "memory follows the mosaic, images wait on disk"}
SINGLE = {"single": "resample_single makes them", "blendheaders": "always"}
INTERPOLATED = dict.fromkeys(("pixmap_stepsize", "pixmap_order"), "positions are interpolated to 1e-7 pixel")

#: Official parameters that we do without, by step of ours; and why. The command line refuses them.
ABSENT: dict[str, dict[str, str]] = {
    "bkg_subtract": {
        "bkg_list": "the background members of an association are taken",
        "save_combined_background": "not written",
        **dict.fromkeys(("soss_source_percentile", "soss_bkg_percentile"), "spectroscopy"),
        **dict.fromkeys(
            ("wfss_mmag_extract", "wfss_mask", "wfss_maxiter", "wfss_rms_stop", "wfss_outlier_percent"), "spectroscopy"
        ),
    },
    "assign_wcs": dict.fromkeys(("slit_y_low", "slit_y_high", "nrs_ifu_slice_wcs"), "spectroscopy"),
    "flat_field": {"save_interpolated_flat": "spectroscopy"},
    "photom": {"inverse": "of master backgrounds in spectroscopy", "source_type": "spectroscopy"},
    "resample_single": {**MEMORY, **SINGLE},
    "tweakreg": {
        **MEMORY,
        **dict.fromkeys(
            ("save_catalogs", "catalog_format", "save_abs_catalog", "use_custom_catalogs", "catfile"),
            "stars are found anew, and not written",
        ),
        **dict.fromkeys(
            (
                *("sip_approx", "sip_max_pix_error", "sip_degree"),
                *("sip_max_inv_pix_error", "sip_inv_degree", "sip_npoints"),
            ),
            "as assign_wcs does it by default",
        ),
    },
    "skymatch": {**MEMORY, "stepsize": "outlines of images are straight to a hundredth of a pixel"},
    "outlier_detection": {
        **MEMORY,
        **INTERPOLATED,
        "fillval": "pixels without weight never count",
        **dict.fromkeys(("kernel_size", "threshold_percent", "ifu_second_check"), "spectroscopy"),
        "rolling_window_width": "time series",
    },
    "resample": {**MEMORY, **SINGLE},
    "source_catalog": {
        **dict.fromkeys(
            (
                *("minsep_fwhm", "sigma_radius", "sharplo", "sharphi", "roundlo", "roundhi", "brightest", "peakmax"),
                "starfinder",
            ),
            "sources are segments",
        ),
        **dict.fromkeys(
            ("connectivity", "localbkg_width", "apermask_method", "kron_params"),
            "fixed at their official defaults",
        ),
    },
}

#: What ours have beside.
OWN = {"parity", "common_grid", "reach"}

#: Defaults that differ, and why; texts that are empty stand for lists that are not given.
DIFFERENT = {("resample_single", "skip"): "nobody reads most of them"}


@cache
def official_steps() -> dict[str, Any]:
    """Official steps of stages 2 and 3, by our names."""
    from jwst.pipeline import Image2Pipeline, Image3Pipeline

    second = dict(Image2Pipeline.step_defs)
    second["resample_single"] = second.pop("resample")
    return {**second, **Image3Pipeline.step_defs}


def official_parameters(name: str) -> dict[str, Any]:
    """Own parameters of an official step, and whether it is skipped."""
    from jwst.group_scale import GroupScaleStep

    of_all = set(GroupScaleStep().get_pars()) - {"skip"}  # this one has none of its own
    return {key: value for key, value in official_steps()[name]().get_pars().items() if key not in of_all}


@pytest.mark.parametrize("name", sorted(official_steps()))
def test_the_parameters_are_those_of_the_official_step(name):
    theirs = official_parameters(name)
    step = StepsByName()[name]
    ours = {key: p.default for kind in (step, step.in_parity()) for key, p in parameters_of(kind).items()}
    assert set(ABSENT.get(name, {})) == set(theirs) - set(ours)
    assert not set(ours) - set(theirs) - OWN
    for key in set(ours) & set(theirs):
        wanted = "" if theirs[key] is None and isinstance(ours[key], str) else theirs[key]
        assert (str(ours[key]) == str(wanted)) != ((name, key) in DIFFERENT), key


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_what_is_absent_is_refused(name):
    for parameter in ABSENT[name]:
        settings = Settings().with_assignments([f"{name}.{parameter}=1"])
        with pytest.raises(ParameterError, match="unknown parameter"):
            settings.check(StepsByName(), ())
