"""A step of the background between two fields of an exposure, told from how the background wanders elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LocalLevels", "StepFit", "fitted", "inflation", "too_few", "without_strays"]

_Floats = NDArray[np.float64]
_Mask = NDArray[np.bool_]

#: Correlation lengths (pixels) and strengths (variance of the wandering over that of a box) that are tried.
_LENGTHS = (50.0, 130.0, 350.0, 1000.0)
_STRENGTHS = (0.0, *np.geomspace(0.03, 3e5, 22))

#: Lower left corners (x, y) of windows at the edges of the imager that stand in for the Lyot, their side and the gap
#: around them, pixels.
_STAND_INS = tuple((x, y) for x in (359, 755) for y in (64, 370, 676))
_SIDE, _GAP = 272, 82


@dataclass(frozen=True)
class LocalLevels:
    """Local backgrounds in boxes of two fields.

    Parameters
    ----------
    x, y : float arrays, shape (n,)
        Middle of each box, pixels.
    level, error : float arrays, shape (n,)
        Background and its error from the noise, unit of the image.
    lyot : bool array, shape (n,)
        Whether the box lies in the Lyot, on the other side of the step.
    """

    x: _Floats
    y: _Floats
    level: _Floats
    error: _Floats
    lyot: _Mask

    def select(self, keep: _Mask) -> LocalLevels:
        """Return those for which ``keep`` is True."""
        return LocalLevels(self.x[keep], self.y[keep], self.level[keep], self.error[keep], self.lyot[keep])


def too_few(levels: LocalLevels) -> bool:
    """Whether there are fewer than 6 boxes of the Lyot or 24 of the other field."""
    return bool(levels.lyot.sum() < 6 or (~levels.lyot).sum() < 24)


def without_strays(levels: LocalLevels) -> LocalLevels:
    """Leave out boxes that stray by more than 6 robust standard deviations from a plane with a step."""
    from mirific.measure.local_background import robust_scatter

    design = _design(levels)
    keep = np.ones(levels.level.size, dtype=bool)
    for _ in range(5):
        solution = np.linalg.lstsq(design[keep], levels.level[keep], rcond=None)[0]
        rest = levels.level - design @ solution
        limit = 6.0 * max(robust_scatter(rest[keep]), float(np.median(levels.error)))
        again = np.abs(rest) < limit
        if (again == keep).all():
            break
        keep = again
    return levels.select(keep)


def _design(levels: LocalLevels) -> _Floats:
    """Columns of the trend: step in the Lyot, constant, gradient along x and y."""
    return np.column_stack(
        [levels.lyot.astype(float), np.ones(levels.x.size), (levels.x - 600.0) / 500.0, (levels.y - 512.0) / 500.0]
    )


@dataclass(frozen=True)
class StepFit:
    """What was fitted to the levels.

    Parameters
    ----------
    step, error : float
        Lyot minus the other field and its standard error, unit of the image.
    wander : float
        Standard deviation with which backgrounds differ beyond noise and gradient, unit of the image.
    length, strength : float
        Likeliest correlation length (pixels), and variance of the wandering over that of a box.
    """

    step: float
    error: float
    wander: float
    length: float
    strength: float


def fitted(levels: LocalLevels) -> StepFit:
    """Fit the trend to the levels.

    Universal kriging (Matheron 1969): generalised least squares of the trend, the covariance of the levels being
    ``s2 (diag(error²) + strength mean(error²) exp(-distance / length))``. Length and strength are averaged over, with
    their restricted likelihood (Patterson & Thompson 1971, Biometrika 58, 545) as weight; s2 is profiled.
    """
    noise = levels.error
    design, data = _design(levels) / noise[:, None], levels.level / noise
    values, vectors = np.linalg.eigh(np.stack([_correlation(levels, length) for length in _LENGTHS]))
    turned = vectors.swapaxes(1, 2)
    variance = 1.0 + np.array(_STRENGTHS)[:, None] * np.maximum(values, 0.0)[:, None]
    step, square, likelihood, scale = _solved((turned @ design)[:, None], (turned @ data)[:, None], variance)
    weight = np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    mean = float((weight * step).sum())
    error = float(np.sqrt((weight * (square + (step - mean) ** 2)).sum()))
    wander = float(np.sqrt((weight * np.array(_STRENGTHS) * scale).sum() * np.mean(noise**2)))
    length, strength = np.unravel_index(int(np.argmax(likelihood)), likelihood.shape)
    return StepFit(mean, error, wander, _LENGTHS[length], float(_STRENGTHS[strength]))


def _correlation(levels: LocalLevels, length: float) -> _Floats:
    """Covariance of the wandering at strength 1, in units of the noise of either box; shape (n, n)."""
    distance = np.hypot(levels.x[:, None] - levels.x, levels.y[:, None] - levels.y)
    scale = np.mean(levels.error**2) / np.outer(levels.error, levels.error)
    return np.asarray(scale * np.exp(-distance / length), dtype=float)


def _solved(design: _Floats, data: _Floats, variance: _Floats) -> tuple[Any, Any, Any, Any]:
    """Step, its variance, logarithm of the restricted likelihood, and s2; for uncorrelated data, many at once.

    Parameters
    ----------
    design : float array, shape (..., n, terms)
    data, variance : float arrays, shape (..., n)
    """
    weighted = design / variance[..., None]
    normal = weighted.swapaxes(-1, -2) @ design
    trend = np.linalg.solve(normal, weighted.swapaxes(-1, -2) @ data[..., None])
    free = data.shape[-1] - design.shape[-1]
    scale = ((data - (design @ trend)[..., 0]) ** 2 / variance).sum(axis=-1) / free
    likelihood = -0.5 * (np.log(variance).sum(axis=-1) + np.linalg.slogdet(normal)[1] + free * np.log(scale))
    return trend[..., 0, 0], np.linalg.inv(normal)[..., 0, 0] * scale, likelihood, scale


def inflation(levels: LocalLevels, fit: StepFit, box: int) -> float:
    """Factor by which errors are too small, at least 1: from windows within the imager, whose step is zero.

    Each window is as large as the Lyot and as far from the rest. The factor is the largest step over its error, with
    the likeliest covariance of the whole, over 1.5, which is what the largest of six normal deviates comes to.

    Parameters
    ----------
    levels : LocalLevels
    fit : StepFit
    box : int
        Side of the boxes of the imager, pixels.
    """
    imager = levels.select(~levels.lyot)
    pulls = []
    for x0, y0 in _STAND_INS:
        away = np.maximum(_beyond(imager.x, x0), _beyond(imager.y, y0))
        inside, outside = away <= -box / 2, away >= _GAP + box / 2
        chosen = replace(imager, lyot=inside).select(inside | outside)
        if not too_few(chosen):
            pulls.append(_pull(chosen, fit))
    return max(1.0, float(np.abs(pulls).max()) / 1.5) if pulls else 1.0


def _pull(levels: LocalLevels, fit: StepFit) -> float:
    """Step over its error, with the covariance of a fit."""
    covariance = np.eye(levels.x.size) + fit.strength * _correlation(levels, fit.length)
    root = np.linalg.cholesky(covariance)
    whole = np.column_stack([_design(levels), levels.level]) / levels.error[:, None]
    white = np.linalg.solve(root, whole)
    step, variance, _, _ = _solved(white[:, :-1], white[:, -1], np.ones(levels.x.size))
    return float(step / np.sqrt(variance))


def _beyond(position: _Floats, start: float) -> _Floats:
    """Distance beyond the interval of the length of a window that begins at ``start``; negative inside."""
    return np.abs(position - start - (_SIDE - 1) / 2) - _SIDE / 2
