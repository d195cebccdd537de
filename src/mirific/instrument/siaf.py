"""Where a detector pixel looks: pixels to V2, V3 and back.

All numbers: SIAF of PRDOPSSOC-075, aperture MIRIM_FULL (pysiaf 0.29), which reproduces the in-flight distortion FLT-9
(``STScI-MIRI/miricoord``) to better than a microarcsecond over the whole detector. The chain is::

    pixel (0-based) + filter offset → science (about the reference pixel) → ideal (arcsec) → V2, V3 (arcsec)

Science to ideal is a polynomial of degree 4, ideal to V2, V3 a rotation with a flip of x (the planar approximation of
the JWST SIAF, JWST-STScI-001550). The polynomial that the SIAF gives for the way back misses by up to 0.11 pixels at
the corners, so that the way back is solved here (Newton), and :func:`distortion_model` carries its own inverse.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mirific.instrument.detector import SHAPE
from mirific.instrument.filters import FILTERS

if TYPE_CHECKING:
    from astropy.modeling import Model

__all__ = [
    "SCI2IDL_X",
    "SCI2IDL_Y",
    "V2_REF",
    "V3_IDL_YANGLE",
    "V3_REF",
    "VPARITY",
    "X_REF",
    "Y_REF",
    "detector_to_ideal",
    "detector_to_v2v3",
    "distortion_model",
    "filter_offset",
    "pixel_area",
    "v2v3_to_detector",
]

#: Reference point of MIRIM_FULL, arcsec.
V2_REF = -453.34829
V3_REF = -373.667949

#: Reference point before PRDOPSSOC-071 (2025), arcsec; data pointed with it carry the FGS-MIRI offset.
V2_REF_BEFORE_071 = -453.37849
V3_REF_BEFORE_071 = -373.810549

#: Angle from V3 to the ideal y axis, degrees.
V3_IDL_YANGLE = 4.83544897

#: Handedness of the ideal frame.
VPARITY = -1

#: Reference pixel, 0-based (693.5, 512.5 in the 1-based SIAF).
X_REF = 692.5
Y_REF = 511.5

_DEGREE = 4

#: Science to ideal, arcsec: coefficients in SIAF order, c_ij of x^(i-j) y^j, i up to 4.
SCI2IDL_X = (
    (0.0,),
    (0.1104965647308105, -0.0003076759730923348),
    (7.64678204902689e-08, -1.723185324826291e-06, -1.245473680179254e-07),
    (-2.717568043156506e-10, 3.135248166256985e-10, -9.961911263391144e-10, 2.058496483032073e-10),
    (
        -1.643181393803604e-14,
        1.289440566696672e-12,
        1.981436660076441e-13,
        1.460395988674112e-12,
        -9.63101349195137e-14,
    ),
)
SCI2IDL_Y = (
    (0.0,),
    (-0.0005871559910819818, 0.111335503798293),
    (-7.83460266948288e-07, -3.615002594712983e-07, -2.31889663758806e-08),
    (1.401299838385891e-10, -1.741449166875346e-09, 6.611735054284478e-10, -3.19000331143374e-09),
    (
        3.79390156691553e-13,
        -1.102980675111271e-14,
        1.851637713593965e-12,
        -2.806854288903774e-13,
        1.875130862431985e-12,
    ),
)

#: Ideal (arcsec) to science (pixels), as the SIAF gives them, in the same order.
IDL2SCI_X = (
    (0.0,),
    (9.050176656023268, 0.02505956812832474),
    (-5.039209668149204e-05, 0.001273975502262029, 9.33393058742207e-05),
    (1.897875419180049e-06, -2.010117027625325e-06, 6.722479096460256e-06, -1.316355094809988e-06),
    (
        8.458005906250897e-10,
        -7.809384659658153e-08,
        -1.378449181105609e-08,
        -8.588591170843841e-08,
        6.050513559322919e-09,
    ),
)
IDL2SCI_Y = (
    (0.0,),
    (0.04781893177814642, 8.981552602350002),
    (0.0005783895368565068, 0.0002739661561542298, 2.567668304973567e-05),
    (-8.816640725456498e-07, 1.176858252999402e-05, -4.100619547158164e-06, 2.133827515218966e-05),
    (
        -2.317563722463363e-08,
        -8.267260779456974e-10,
        -1.073889478498046e-07,
        1.682657659788172e-08,
        -1.171575120609479e-07,
    ),
)

_Triangle = tuple[tuple[float, ...], ...]
_Floats = NDArray[np.float64]


def filter_offset(filter_name: str | None) -> tuple[float, float]:
    """(column, row) added to a detector pixel before the distortion, pixels; (0, 0) for None (the frame of F770W)."""
    if filter_name is None:
        return (0.0, 0.0)
    entry = FILTERS[filter_name]
    return (entry.column_offset, entry.row_offset)


def _matrix(coefficients: _Triangle) -> _Floats:
    """SIAF coefficients as the matrix c[p, q] of x^p y^q."""
    size = len(coefficients)
    matrix = np.zeros((size, size))
    for i, row in enumerate(coefficients):
        for j, value in enumerate(row):
            matrix[i - j, j] = value
    return matrix


def _sum(matrix: _Floats, x: _Floats, y: _Floats) -> _Floats:
    """Sum of c[p, q] x^p y^q by Horner's scheme."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for row in matrix[::-1]:
        inner = np.zeros_like(total)
        for value in row[::-1]:
            inner = inner * y + value
        total = total * x + inner
    return total


def _evaluate(coefficients: _Triangle, x: _Floats, y: _Floats) -> _Floats:
    return _sum(_matrix(coefficients), x, y)


def detector_to_ideal(x: ArrayLike, y: ArrayLike, filter_name: str | None = None) -> tuple[_Floats, _Floats]:
    """Detector pixels (0-based, full frame) to the ideal frame of MIRIM_FULL, arcsec."""
    column, row = filter_offset(filter_name)
    dx = np.asarray(x, dtype=float) + column - X_REF
    dy = np.asarray(y, dtype=float) + row - Y_REF
    return _evaluate(SCI2IDL_X, dx, dy), _evaluate(SCI2IDL_Y, dx, dy)


def _rotation() -> _Floats:
    """Matrix from ideal x, y to V2 - V2Ref, V3 - V3Ref (JWST-STScI-001550)."""
    angle = np.radians(V3_IDL_YANGLE)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[VPARITY * cos, sin], [-VPARITY * sin, cos]])


def detector_to_v2v3(x: ArrayLike, y: ArrayLike, filter_name: str | None = None) -> tuple[_Floats, _Floats]:
    """Detector pixels (0-based, full frame, any shape) to V2, V3, arcsec.

    Examples
    --------
    >>> v2, v3 = detector_to_v2v3(692.5, 511.5)
    >>> round(float(v2), 5), round(float(v3), 6)
    (-453.34829, -373.667949)
    """
    ideal_x, ideal_y = detector_to_ideal(x, y, filter_name)
    matrix = _rotation()
    v2 = V2_REF + matrix[0, 0] * ideal_x + matrix[0, 1] * ideal_y
    v3 = V3_REF + matrix[1, 0] * ideal_x + matrix[1, 1] * ideal_y
    return v2, v3


def _jacobian(dx: _Floats, dy: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Derivatives of ideal x by x, by y, and of ideal y by x, by y; arcsec per pixel."""
    powers = np.arange(1, _DEGREE + 1)
    x_matrix, y_matrix = _matrix(SCI2IDL_X), _matrix(SCI2IDL_Y)
    by_x = [_sum(matrix[1:] * powers[:, None], dx, dy) for matrix in (x_matrix, y_matrix)]
    by_y = [_sum(matrix[:, 1:] * powers[None, :], dx, dy) for matrix in (x_matrix, y_matrix)]
    return by_x[0], by_y[0], by_x[1], by_y[1]


def v2v3_to_detector(v2: ArrayLike, v3: ArrayLike, filter_name: str | None = None) -> tuple[_Floats, _Floats]:
    """V2, V3 (arcsec, any shape) to detector pixels (0-based, full frame).

    The SIAF's polynomial gives the first guess, and three Newton iterations on the forward polynomial the answer: the
    round trip is good to 1e-9 pixels on the detector.
    """
    inverse = np.linalg.inv(_rotation())
    d2, d3 = np.asarray(v2, dtype=float) - V2_REF, np.asarray(v3, dtype=float) - V3_REF
    target_x = inverse[0, 0] * d2 + inverse[0, 1] * d3
    target_y = inverse[1, 0] * d2 + inverse[1, 1] * d3
    dx, dy = _evaluate(IDL2SCI_X, target_x, target_y), _evaluate(IDL2SCI_Y, target_x, target_y)
    for _ in range(3):
        miss_x = target_x - _evaluate(SCI2IDL_X, dx, dy)
        miss_y = target_y - _evaluate(SCI2IDL_Y, dx, dy)
        xx, xy, yx, yy = _jacobian(dx, dy)
        determinant = xx * yy - xy * yx
        dx = dx + (yy * miss_x - xy * miss_y) / determinant
        dy = dy + (xx * miss_y - yx * miss_x) / determinant
    column, row = filter_offset(filter_name)
    return dx + X_REF - column, dy + Y_REF - row


def pixel_area(x: ArrayLike, y: ArrayLike) -> _Floats:
    """Area of a pixel on the sky, arcsec², at detector pixels (0-based, full frame)."""
    xx, xy, yx, yy = _jacobian(np.asarray(x, dtype=float) - X_REF, np.asarray(y, dtype=float) - Y_REF)
    return np.asarray(np.abs(xx * yy - xy * yx))


@cache
def inverse_coefficients(degree: int = 7) -> tuple[_Floats, _Floats]:
    """Polynomials c[p, q] of ideal x^p y^q (arcsec) that give science x, y (pixels) on the detector.

    Fitted by least squares to the forward polynomial on a grid that reaches 8 pixels beyond the detector.
    """
    ny, nx = SHAPE
    x, y = np.meshgrid(np.linspace(-8, nx + 7, 64), np.linspace(-8, ny + 7, 64))
    ideal_x, ideal_y = detector_to_ideal(x, y)
    scale = 60.0
    powers = [(p, q) for p in range(degree + 1) for q in range(degree + 1 - p)]
    design = np.stack([((ideal_x / scale) ** p * (ideal_y / scale) ** q).ravel() for p, q in powers], axis=1)
    result = []
    for target in (x - X_REF, y - Y_REF):
        solution = np.linalg.lstsq(design, target.ravel(), rcond=None)[0]
        matrix = np.zeros((degree + 1, degree + 1))
        for (p, q), value in zip(powers, solution, strict=True):
            matrix[p, q] = value / scale ** (p + q)
        result.append(matrix)
    return result[0], result[1]


def _polynomial(matrix: _Floats, name: str) -> Model:
    """Polynomial2D of the matrix c[p, q] of x^p y^q, terms of total degree up to its size only."""
    from astropy.modeling.models import Polynomial2D

    degree = matrix.shape[0] - 1
    terms = {f"c{p}_{q}": matrix[p, q] for p in range(degree + 1) for q in range(degree + 1 - p)}
    return Polynomial2D(degree, name=name, **terms)


def distortion_model() -> Model:
    """Astropy model of pixels (0-based, filter offset already added) to V2, V3 (arcsec), with its inverse.

    It is what a CRDS distortion reference of MIRI imaging holds.
    """
    from astropy.modeling.models import AffineTransformation2D, Mapping, Shift

    rotation = _rotation()
    reference = np.array([V2_REF, V3_REF])
    duplicate = Mapping((0, 1, 0, 1))
    forward = (
        (Shift(-X_REF) & Shift(-Y_REF))
        | duplicate
        | (_polynomial(_matrix(SCI2IDL_X), "Sci2IdlX") & _polynomial(_matrix(SCI2IDL_Y), "Sci2IdlY"))
        | AffineTransformation2D(matrix=rotation, translation=reference)
    )
    back = np.linalg.inv(rotation)
    inverse_x, inverse_y = inverse_coefficients()
    forward.inverse = (
        AffineTransformation2D(matrix=back, translation=-back @ reference)
        | Mapping((0, 1, 0, 1))
        | (_polynomial(inverse_x, "Idl2SciX") & _polynomial(inverse_y, "Idl2SciY"))
        | (Shift(X_REF) & Shift(Y_REF))
    )
    return forward
