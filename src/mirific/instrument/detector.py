"""The detector: format, noise, gain, well, efficiency and couplings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DARK_RATE",
    "FULL_WELL",
    "GAIN",
    "IPC_CROSS_COLUMN",
    "IPC_CROSS_ROW",
    "IPC_DIAGONAL",
    "QUANTUM_EFFICIENCY",
    "READ_NOISE",
    "SATURATION",
    "SHAPE",
    "ipc_kernel",
]

#: (rows, columns), reference columns 0-3 and 1028-1031 included (``jwst: jwst/refpix/reference_pixels.py``).
SHAPE = (1024, 1032)

#: Gain, electrons per DN (JDox "MIRI Detector Performance", flight).
GAIN = 4.0

#: Noise of one read, DN (JDox "MIRI Detector Performance", FASTR1 in flight).
READ_NOISE = 6.0

#: Full well, electrons (JDox "MIRI Detector Performance", flight).
FULL_WELL = 210_000.0

#: Saturation level including the pedestal, DN; assumed: full well over gain is 52 500 DN above the pedestal, and flight
#: references are recalled to lie at 55 000 to 61 000.
SATURATION = 55_000.0

#: Dark current, DN/s: 0.2 e/s (JDox "MIRI Detector Performance") over the gain.
DARK_RATE = 0.05

#: Inter-pixel capacitance (JWST-STScI-002925, Engesser): to the left and right, up and down, and diagonal neighbours.
IPC_CROSS_ROW = 0.033
IPC_CROSS_COLUMN = 0.024
IPC_DIAGONAL = 0.013

#: Quantum efficiency by wavelength, µm (``MiriTE`` ``qe_measurementIM.txt``).
QUANTUM_EFFICIENCY: Mapping[float, float] = {
    5.5: 0.499,
    6.0: 0.555,
    7.0: 0.585,
    8.0: 0.623,
    9.0: 0.628,
    10.0: 0.612,
    11.0: 0.571,
    12.0: 0.548,
    13.0: 0.533,
    14.0: 0.541,
    15.0: 0.575,
    16.0: 0.523,
    17.0: 0.554,
    18.0: 0.491,
    19.0: 0.462,
    20.0: 0.433,
    21.0: 0.449,
    22.0: 0.460,
    24.0: 0.410,
    25.0: 0.340,
    25.5: 0.302,
    27.0: 0.155,
    28.0: 0.070,
}


def ipc_kernel() -> NDArray[np.float64]:
    """Kernel of the inter-pixel capacitance, shape (3, 3), sum 1."""
    a, b, c = IPC_CROSS_ROW, IPC_CROSS_COLUMN, IPC_DIAGONAL
    centre = 1.0 - 2.0 * a - 2.0 * b - 4.0 * c
    return np.array([[c, b, c], [a, centre, a], [c, b, c]])
