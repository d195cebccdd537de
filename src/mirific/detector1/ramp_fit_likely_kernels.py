"""Loops of ramp fitting by maximum likelihood.

Brandt 2024, PASP 136, 045004 (paper I: slopes of ramps from the differences of their groups, whose covariance matrix
is tridiagonal) and 045005 (paper II: jumps, as differences whose omission lowers chi squared by more than a threshold).
Equations are numbered as there. Order of the operations is that of ``stcal: ramp_fitting/likely_fit.py``, all in
float64; results of integrations are combined in float32, as there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from mirific.kernels.selection import median

__all__ = ["fit_likely"]

_DO_NOT_USE = np.uint32(1)
_SATURATED = np.uint32(2)
_JUMP = np.uint32(4)
_ONE = np.float32(1)
_NOTHING = np.float32(0)

#: Least improvement of chi squared by leaving out one difference, and two: 4.5 sigma (paper II, section 3).
_OMIT_ONE, _OMIT_TWO = 20.25, 23.8

#: The determinant is rescaled every so many differences.
_RESCALE = 10


@njit(nogil=True, cache=True, error_model="numpy")
def fit_likely(data: Any, groupdq: Any, pixeldq: Any, noise: Any, covariance: Any, window: Any, out: Any) -> None:
    """Fit the ramps of a band.

    Parameters
    ----------
    data : float32 array, shape (rows, nints, ngroups, nx)
        Ramps, DN.
    groupdq : uint8 array, same shape
        Receives JUMP_DET.
    pixeldq : uint32 array, shape (rows, nx)
    noise : tuple of float32 arrays, shape (rows, nx)
        Gain (e/DN), read noise of a read (DN), average dark current (e/s).
    covariance : float64 array, shape (6, ndiffs)
        Time between groups (s); diagonal of the covariance matrix for one DN/s and for a read noise of one, the terms
        off it (the last of them unused); reads of the group before each difference.
    window : tuple of two ints
        First group to fit and the one after the last.
    out : tuple of float32 (rows, 4, 1 + nints, nx), uint32 (rows, 1 + nints, nx) and float32 (rows, nx) arrays
        Receive slope and error (DN/s), Poisson and read-noise variance (DN²/s²), combined, then by integration; the
        pixel DQ; chi squared.
    """
    rows, nints, _, nx = data.shape
    low, high = window
    ndiffs = high - low - 1
    room = np.empty((16, ndiffs + 2))
    differences, use = np.empty(ndiffs), np.empty(ndiffs)
    for r in range(rows):
        for x in range(nx):
            pixel = (np.float64(noise[0][r, x]), np.float64(noise[1][r, x]), np.float64(noise[2][r, x]))
            out[2][r, x] = _NOTHING
            for i in range(nints):
                flags = groupdq[r, i, low:high, x]
                _take(data[r, i, low:high, x], flags, covariance[0], differences, use)
                rate = _mask_jumps(differences, use, flags, pixel, covariance, room)
                guess = rate * (rate > 0.0) + pixel[2]
                result = _fit(differences, use, guess, pixel, covariance, room)
                for k in range(4):
                    out[0][r, k, 1 + i, x] = result[k]
                out[2][r, x] += np.float32(result[4])
                out[1][r, 1 + i, x] = _bits(flags, pixeldq[r, x])
            _combine(out[0][r, :, :, x], out[1][r, :, x])


@njit(nogil=True, cache=True, error_model="numpy")
def _take(samples: Any, flags: Any, times: Any, differences: Any, use: Any) -> None:
    """Differences of one ramp, DN/s (equation 5), and 1 for those between groups without any flag, else 0."""
    for g in range(differences.size):
        differences[g] = np.float64(samples[g + 1] - samples[g]) / times[g]
        use[g] = 0.0 if flags[g] | flags[g + 1] else 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _bits(flags: Any, pixeldq: Any) -> Any:
    """DQ of one ramp."""
    every, lost = np.uint32(0), 0
    for flag in flags:
        every |= np.uint32(flag)
        lost += (flag & np.uint8(3)) != 0
    dq = pixeldq | (every & (_SATURATED | _JUMP))
    return dq | _DO_NOT_USE if lost == flags.size else dq


@njit(nogil=True, cache=True, error_model="numpy")
def _mask_jumps(differences: Any, use: Any, flags: Any, pixel: Any, covariance: Any, room: Any) -> float:
    """Leave out jumps, one after the other, and flag them; returns the count rate (paper II, section 3)."""
    n = differences.size
    for g in range(n):
        room[0, g] = differences[g]
    guess = np.nan if np.isnan(differences).any() else median(room[0], n)
    guess *= guess > 0.0
    rate = 0.0
    for turn in range(n):
        result = _fit(differences, use, guess, pixel, covariance, room)
        rate = result[0] if turn == 0 else rate
        _omit(use, result, room)
        single, both = _improvements(result[4], covariance[5], room)
        one_is_better = single - _OMIT_ONE > both - _OMIT_TWO
        best = single * (single > _OMIT_ONE) * one_is_better + both * (both > _OMIT_TWO) * (not one_is_better)
        dropped, new_rate = _drop(result[4], best, one_is_better, use, flags, room)
        if dropped == 0:
            break
        rate = rate * 0.0 + new_rate
        if use.sum() <= 3:
            break
    return rate


@njit(nogil=True, cache=True, error_model="numpy")
def _improvements(chi2: float, reads: Any, room: Any) -> Any:
    """Largest decrease of chi squared by leaving out one difference, and two; NaN if some is NaN."""
    n = reads.size
    single, both = -np.inf, -np.inf
    for g in range(n):
        gain = chi2 - room[12, g]
        single = gain if np.isnan(gain) or gain > single else single
        if np.isnan(single):
            break
    for g in range(n - 1):
        gain = (chi2 - room[13, g]) * (reads[g + 1] > 1.0)
        both = gain if np.isnan(gain) or gain > both else both
        if np.isnan(both):
            break
    return single, both


@njit(nogil=True, cache=True, error_model="numpy")
def _drop(chi2: float, best: float, one_is_better: bool, use: Any, flags: Any, room: Any) -> Any:
    """Leave out the differences whose omission improves chi squared most; how many, and the rate without them."""
    n = use.size
    dropped, rate = 0, 0.0
    if best == 0.0 or np.isnan(best):
        return dropped, rate
    row = 12 if one_is_better else 13
    for g in range(n if one_is_better else n - 1):
        hit = chi2 - room[row, g] == best
        rate += room[row + 2, g] * hit
        if hit:
            dropped += 1
            for k in range(g, g + 1 if one_is_better else g + 2):
                flags[k + 1] |= np.uint8(4) if use[k] else np.uint8(0)
                use[k] = 0.0
    return dropped, rate


@njit(nogil=True, cache=True, error_model="numpy")
def _fit(differences: Any, use: Any, guess: float, pixel: Any, covariance: Any, room: Any) -> Any:
    """Fit one ramp.

    Returns slope, its error, Poisson and read-noise variance, chi squared; C, A and B of equations 61 to 63; and the
    factor by which the covariance matrix was scaled.
    """
    n = differences.size
    alpha, beta, theta, phi = room[0], room[1], room[2], room[3]
    scale = _scaled_covariance(guess, pixel, covariance, room)
    for g in range(n - 1):
        beta[g] *= use[g + 1] * use[g]
    _determinants(n, alpha, beta, theta, phi)
    _accumulate(differences, use, room)
    whole = theta[n]
    a1, a2, b, c = 0.0, 0.0, 0.0, 0.0
    for g in range(n):
        sign = -1.0 if g % 2 == 0 else 1.0
        value = differences[g] * use[g]
        room[8, g] = sign / whole * (phi[g + 1] * room[6, g] + theta[g] * room[4, g]) * use[g]
        room[9, g] = sign / whole * (phi[g + 1] * room[7, g + 1] + theta[g] * room[5, g])
        off = 1.0 if g == 0 else beta[g - 1]
        a1 += value * sign / whole * off * phi[g + 1] * room[7, g]
        a2 += value * value * theta[g] * phi[g + 1] / whole
        b += value * room[8, g]
        c += room[8, g]
    a = 2 * a1 + a2
    var_p, var_r = _variances(guess, pixel, covariance, room[8], c)
    return b * (1.0 / c), np.sqrt(scale / c), var_p, var_r, (a - b**2 / c) / scale, c, a, b, scale


@njit(nogil=True, cache=True, error_model="numpy")
def _scaled_covariance(guess: float, pixel: Any, covariance: Any, room: Any) -> float:
    """Diagonal and off-diagonal of the covariance matrix, scaled to a determinant of one; returns the factor."""
    n = covariance.shape[1]
    alpha, beta, theta = room[0], room[1], room[2]
    photons, read_variance = guess / pixel[0], pixel[1] ** 2
    for g in range(n):
        alpha[g] = photons * covariance[1, g] + read_variance * covariance[2, g]
        beta[g] = photons * covariance[3, g] + read_variance * covariance[4, g]
    theta[0], theta[1] = 1.0, alpha[0]
    scale = 1.0
    for i in range(2, n + 1):
        theta[i] = alpha[i - 1] / scale * theta[i - 1] - beta[i - 2] ** 2 / scale**2 * theta[i - 2]
        if i % _RESCALE == 0 or i == n:
            factor = theta[i] ** (1.0 / i)
            scale *= factor
            left = theta[i] / factor
            theta[i - 1] /= left
            theta[i - 2] /= left / factor
            theta[i] = 1.0
    for g in range(n):
        alpha[g] /= scale
        beta[g] /= scale
    return scale


@njit(nogil=True, cache=True, error_model="numpy")
def _determinants(n: int, alpha: Any, beta: Any, theta: Any, phi: Any) -> None:
    """Determinants of the leading and of the trailing submatrices (equations 38 to 43)."""
    theta[0], theta[1] = 1.0, alpha[0]
    for i in range(2, n + 1):
        theta[i] = alpha[i - 1] * theta[i - 1] - beta[i - 2] ** 2 * theta[i - 2]
    phi[n], phi[n - 1] = 1.0, alpha[n - 1]
    for i in range(n - 2, -1, -1):
        phi[i] = alpha[i] * phi[i + 1] - beta[i] ** 2 * phi[i + 2]


@njit(nogil=True, cache=True, error_model="numpy")
def _accumulate(differences: Any, use: Any, room: Any) -> None:
    """Sums of equations 46 to 48 of paper I and 4 of paper II: from the right, rows 4 and 5; from the left, 6 and 7."""
    n = differences.size
    beta, theta, phi = room[1], room[2], room[3]
    room[4, n - 1], room[5, n - 1] = 0.0, 0.0
    for i in range(n - 2, -1, -1):
        sign = -1.0 if (i + 1) % 2 == 0 else 1.0
        room[4, i] = room[4, i + 1] * beta[i] + sign * beta[i] * phi[i + 2]
        value = differences[i + 1] * use[i + 1]
        room[5, i] = (room[5, i + 1] + sign * value * phi[i + 2]) * beta[i]
    room[6, 0], room[7, 0], room[7, 1] = -theta[0], 0.0, -(differences[0] * use[0]) * theta[0]
    for i in range(1, n):
        sign = -1.0 if i % 2 == 0 else 1.0
        room[6, i] = room[6, i - 1] * beta[i - 1] + sign * theta[i]
        room[7, i + 1] = beta[i - 1] * room[7, i] + sign * (differences[i] * use[i]) * theta[i]


@njit(nogil=True, cache=True, error_model="numpy")
def _variances(guess: float, pixel: Any, covariance: Any, weighted: Any, total: float) -> Any:
    """Poisson and read-noise variance of the slope: the covariance matrix between the weights of the differences."""
    n = covariance.shape[1]
    photons, read_variance = guess / pixel[0], pixel[1] ** 2
    p, r, p_off, r_off = 0.0, 0.0, 0.0, 0.0
    for g in range(n):
        weight = weighted[g] / total
        p += weight**2 * (photons * covariance[1, g])
        r += weight**2 * (read_variance * covariance[2, g])
        if g > 0:
            before = weighted[g - 1] / total
            p_off += weight * before * (photons * covariance[3, g - 1])
            r_off += weight * before * (read_variance * covariance[4, g - 1])
    return p + 2 * p_off, r + 2 * r_off


@njit(nogil=True, cache=True, error_model="numpy")
def _omit(use: Any, result: Any, room: Any) -> None:
    """Chi squared (rows 12 and 13) and count rate (14 and 15) without each difference, and without each two adjacent.

    Paper II, sections 3.1 and 3.2. A difference that is left out already counts as it does in the whole.
    """
    n = use.size
    theta, phi, d_c, d_b = room[2], room[3], room[8], room[9]
    c, a, b, scale = result[5], result[6], result[7], result[8]
    for g in range(n):
        inverse = theta[g] * phi[g + 1] / theta[n] * use[g]
        room[10, g] = inverse
        rate = (inverse * b - d_b[g] * d_c[g]) / (c * inverse - d_c[g] ** 2)
        jump = (d_b[g] - rate * d_c[g]) / inverse
        chi2 = a + rate**2 * c - 2 * rate * b + jump**2 * inverse - 2 * jump * d_b[g] + 2 * rate * jump * d_c[g]
        room[12, g] = chi2 / scale if use[g] else result[4]
        room[14, g] = rate if use[g] else result[0]
    for g in range(n - 1):
        chi2, rate = _omit_two(g, n, room, (c, a, b))
        room[13, g] = chi2 / scale
        room[15, g] = rate
        for k, other in ((g + 1, g), (g, g + 1)):
            if not use[k]:
                room[13, g] = room[12, other]
                room[15, g] = room[14, other]


@njit(nogil=True, cache=True, error_model="numpy")
def _omit_two(g: int, n: int, room: Any, sums: Any) -> Any:
    """Chi squared and count rate without differences ``g`` and ``g + 1``."""
    c, a, b = sums
    theta, phi, beta, d_c, d_b, inverse = room[2], room[3], room[1], room[8], room[9], room[10]
    off = -beta[g] * theta[g] * phi[g + 2] / theta[n]
    first = d_c[g] ** 2 - c * inverse[g]
    cross = d_c[g] * d_c[g + 1] - c * off
    known = b * d_c[g] - d_b[g] * c
    later = known / first - (b * d_c[g + 1] - d_b[g + 1] * c) / cross
    later /= cross / first - (d_c[g + 1] ** 2 - c * inverse[g + 1]) / cross
    jump = (known - later * cross) / first
    rate = (b - jump * d_c[g] - later * d_c[g + 1]) / c
    chi2 = a + rate**2 * c + jump**2 * inverse[g] + later**2 * inverse[g + 1]
    chi2 -= 2 * rate * b + 2 * jump * d_b[g] + 2 * later * d_b[g + 1]
    chi2 += 2 * rate * jump * d_c[g] + 2 * rate * later * d_c[g + 1] + 2 * jump * later * off
    return chi2, rate


@njit(nogil=True, cache=True, error_model="numpy")
def _combine(values: Any, dq: Any) -> None:
    """Combine the integrations of one pixel: values (4, 1 + nints), DQ (1 + nints).

    Weights are the inverse of the variances, the Poisson ones scaled to the common slope.
    """
    nints = dq.size - 1
    every, lost = np.uint32(0), 0
    for i in range(1, 1 + nints):
        every |= dq[i]
        lost += (dq[i] & _DO_NOT_USE) != 0
    dq[0] = every if lost == nints else every & ~_DO_NOT_USE
    if nints == 1:
        for k in range(4):
            values[k, 0] = values[k, 1]
        return
    slope = _middle(values[0, 1:])
    weights, scaled = np.empty(nints, dtype=np.float32), np.empty(nints, dtype=np.float32)
    for _ in range(2):
        total = _NOTHING
        for i in range(nints):
            ratio = slope / values[0, 1 + i]
            ratio = ratio if np.isfinite(ratio) and ratio >= _NOTHING else _NOTHING
            scaled[i] = values[2, 1 + i] * ratio
            weights[i] = _ONE / (scaled[i] + values[3, 1 + i])
            total += _NOTHING if np.isnan(weights[i]) else weights[i]
        for i in range(nints):
            weights[i] /= total
        slope = _sum(values[0, 1:], weights, False)
    values[0, 0] = slope
    values[2, 0] = _sum(scaled, weights, True)
    values[3, 0] = _sum(values[3, 1:], weights, True)
    values[1, 0] = np.sqrt(values[2, 0] + values[3, 0])


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(values: Any) -> Any:
    """Median of the numbers, float32; NaN if there are none."""
    kept, count = np.empty(values.size, dtype=np.float32), 0
    for value in values:
        if not np.isnan(value):
            kept[count] = value
            count += 1
    return np.float32(median(kept, count))


@njit(nogil=True, cache=True, error_model="numpy")
def _sum(values: Any, weights: Any, squared: bool) -> Any:
    """Weighted sum of the numbers, float32; NaN if there are none."""
    total, count = _NOTHING, 0
    for i in range(values.size):
        term = values[i] * (weights[i] * weights[i] if squared else weights[i])
        if not np.isnan(term):
            total += term
            count += 1
    return total if count else np.float32(np.nan)
