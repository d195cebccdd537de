from __future__ import annotations

import pytest

from mirific.instrument.filters import FILTERS, LOSS_PER_YEAR, PHOTOM_EPOCH, PIXAR_A2, PIXAR_SR, SUBARRAY_THROUGHPUT


def test_nine_filters_in_order_of_wavelength():
    waves = [entry.pivot_um for entry in FILTERS.values()]
    assert len(FILTERS) == 9
    assert waves == sorted(waves)


def test_pixel_areas_agree():
    arcsec = 4.84813681109536e-06
    assert pytest.approx(PIXAR_SR, rel=1e-6) == PIXAR_A2 * arcsec**2


@pytest.mark.parametrize("entry", FILTERS.values(), ids=FILTERS)
def test_nothing_is_lost_at_the_epoch_and_the_year1_loss_after_a_year(entry):
    assert entry.throughput(PHOTOM_EPOCH) == pytest.approx(1.0)
    assert entry.throughput(PHOTOM_EPOCH + 365.0) == pytest.approx((1 - LOSS_PER_YEAR) * (1 - entry.year1_loss))
    assert entry.conversion(PHOTOM_EPOCH) == pytest.approx(entry.photmjsr)


def test_f2550w_loses_a_fifth_in_a_year_and_f770w_nothing():
    assert FILTERS["F2550W"].year1_loss == 0.21
    assert FILTERS["F770W"].year1_loss == 0.0


def test_a_subarray_that_gets_less_light_has_a_larger_conversion():
    entry = FILTERS["F1000W"]
    ratio = entry.conversion(PHOTOM_EPOCH, "SUB64") / entry.conversion(PHOTOM_EPOCH)
    assert ratio == pytest.approx(1.0 / SUBARRAY_THROUGHPUT["SUB64"])


def test_background_rates_follow_from_the_two_tables():
    assert FILTERS["F2550W"].background_rate == pytest.approx(855.0 / 0.80)
    assert FILTERS["F1500W"].background_rate == pytest.approx(108.05, abs=0.01)


@pytest.mark.realdata
def test_boresight_offsets_are_those_of_the_flight_file(shared_data):
    import asdf

    with asdf.open(shared_data / "references" / "jwst_miri_filteroffset_full_flt9.asdf") as contents:
        flight = {entry["filter"]: entry for entry in contents.tree["filters"]}
    for name, entry in FILTERS.items():
        assert entry.column_offset == flight[name]["column_offset"]
        assert entry.row_offset == flight[name]["row_offset"]
