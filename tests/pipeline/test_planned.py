"""What a run is going to write, by its plan."""

from __future__ import annotations

from pathlib import Path

from mirific.pipeline.plan import MosaicPlan, Plan, Source
from mirific.pipeline.planned import files_of_settings, planned_products
from mirific.pipeline.settings import Settings

RATE = Source("b", Path("b_rate.fits"), "rate", "F770W", product="mine")


def names(plan, *assignments, to="i2d"):
    products = planned_products(plan, Settings(to=to).with_assignments(assignments), Path("out"))
    assert {path.parent for path in products} == {Path("out")}
    assert len(set(products)) == len(products)
    return {path.name for path in products} - {"report.html", "report.json"}


def test_products_follow_level_and_target():
    raw = Source("a", Path("a_uncal.fits"), "uncal", "F770W")
    plan = Plan((raw, RATE), (MosaicPlan("m", ("a", "b"), "m_asn.json", "o001"),))
    rates = {"a_rate.fits", "a_rateints.fits"}
    cals = {"a_cal.fits", "mine_cal.fits"}
    assert names(plan, to="rate") == rates
    assert names(plan, to="cal") == rates | cals
    mosaic = {"m_i2d.fits", "m_segm.fits", "m_cat.ecsv", "a_o001_crf.fits", "mine_o001_crf.fits"}
    assert names(plan) == rates | cals | mosaic


def test_products_of_time_series_are_calibrated_integrations():
    raw = Source("a", Path("a_uncal.fits"), "uncal", "F770W", time_series=True)
    ints = Source("b", Path("b_rateints.fits"), "rateints", "F770W", time_series=True)
    both = Source("c", Path("c_cal.fits"), "cal", "F770W", integrations=Path("c_rateints.fits"), time_series=True)
    made = {"a_rate.fits", "a_rateints.fits", "a_cal.fits", "a_calints.fits", "b_calints.fits", "c_calints.fits"}
    assert names(Plan((raw, ints, both), ())) == made


def test_optional_products_count_where_they_are_asked_for():
    asked = ["ramp_fit.save_opt=true", "dark_current.dark_output=here/applied.fits", "resample_single.skip=false"]
    asked += ["emicorr.save_intermediate_results=1", "outlier_detection.save_intermediate_results=yes"]
    raw = Source("a", Path("a_uncal.fits"), "uncal", "F770W")
    plan = Plan((raw,), (MosaicPlan("m", ("a",)),))
    more = {"a_fitopt.fits", "a_likely_chisq.fits", "applied.fits", "a_emi_ref_waves.asdf", "a_i2d.fits"}
    more |= {"a_outlier_i2d.fits", "a_median.fits", "a_blot.fits"}
    assert names(plan, *asked) - names(plan) == more
    assert names(plan, "ramp_fit.save_opt=false") == names(plan)


def test_files_of_parameters_are_inputs():
    settings = Settings().with_assignments(["tweakreg.abs_refcat=stars.ecsv", "dark_current.dark_output=applied"])
    assert files_of_settings(settings) == (Path("stars.ecsv"),)
