from __future__ import annotations

import pytest

from mirific.instrument.detector import FULL_WELL, GAIN, QUANTUM_EFFICIENCY, ipc_kernel


def test_ipc_conserves_charge_and_is_symmetric():
    kernel = ipc_kernel()
    assert kernel.sum() == pytest.approx(1.0)
    assert kernel[1, 1] == pytest.approx(0.834)
    assert kernel[1, 0] == kernel[1, 2] == 0.033
    assert kernel[0, 1] == kernel[2, 1] == 0.024


def test_the_well_in_counts_fits_below_the_converter():
    assert 10_000 + FULL_WELL / GAIN < 65_535


def test_quantum_efficiency_is_a_fraction_in_order_of_wavelength():
    assert list(QUANTUM_EFFICIENCY) == sorted(QUANTUM_EFFICIENCY)
    assert all(0 < value < 1 for value in QUANTUM_EFFICIENCY.values())
