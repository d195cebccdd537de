"""Where the pixels of an exposure fall on another grid, by interpolation of the exact transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import BrokenWcs

if TYPE_CHECKING:
    from gwcs import WCS

__all__ = ["PixelMap", "interpolated", "pixel_map"]

#: Points per axis that are tried, until the tolerance is met.
_POINTS = (9, 17, 33, 65)


@dataclass(frozen=True)
class PixelMap:
    """Transform from the pixels of one image to those of another.

    The exact transform is known on Chebyshev points, between which it is interpolated (Berrut & Trefethen 2004,
    SIAM Review 46, 501): spectrally accurate for the smooth distortions of a telescope.

    Parameters
    ----------
    x, y : float arrays, shape (n,)
        The points, 0-based pixels of the image.
    values : float array, shape (2, n, n)
        Column and row of the other image at the points.
    error : float
        Largest difference to the exact transform that was seen between the points, pixel.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    error: float

    def on_grid(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Columns and rows at all combinations of ``x`` (nx) and ``y`` (ny): shape (2, ny, nx)."""
        return self._spread(_barycentric(self.x, x), _barycentric(self.y, y))

    def _spread(self, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate by matrices (nx, n) and (ny, n)."""
        places = np.empty((2, len(down), len(across)))
        for values, out in zip(self.values, places, strict=True):
            np.matmul(down @ values, across.T, out=out)
        return places

    def centres(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Places of the centres of the pixels of an image of this shape: (2, ny, nx)."""
        return self.on_grid(np.arange(shape[-1], dtype=float), np.arange(shape[-2], dtype=float))

    def corners(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Places of the corners of the pixels of an image of this shape: (2, ny + 1, nx + 1).

        A corner is the mean of the four centres around it, continued linearly at the edges, as ``drizzle`` takes it;
        from the true corner that is 1e-5 pixel away.
        """
        across, down = self.corner_factors(shape)
        return down @ across

    def corner_factors(self, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two arrays, (n, nx + 1) and (2, ny + 1, n), of which the second times the first gives the corners."""
        return np.ascontiguousarray(_between(self.x, shape[-1]).T), _between(self.y, shape[-2]) @ self.values


def _between(nodes: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Matrix (size + 1, nnodes) that gives the means of neighbouring centres, and the two ends by continuation."""
    centres = _barycentric(nodes, np.arange(size, dtype=float))
    before, after = 2 * centres[0] - centres[1], 2 * centres[-1] - centres[-2]
    padded: NDArray[np.float64] = np.vstack([before, centres, after])
    return 0.5 * (padded[1:] + padded[:-1])


def _barycentric(nodes: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix (nplaces, nnodes) that interpolates from Chebyshev points of the second kind."""
    signs = np.where(np.arange(nodes.size) % 2, -1.0, 1.0)
    signs[[0, -1]] *= 0.5
    distance = places[:, None] - nodes[None, :]
    hit = distance == 0
    terms = signs / np.where(hit, 1.0, distance)
    matrix: NDArray[np.float64] = terms / terms.sum(axis=1, keepdims=True)
    on_node = hit.any(axis=1)
    matrix[on_node] = hit[on_node]
    return matrix


def pixel_map(source: WCS, target: WCS, shape: tuple[int, ...], tolerance: float = 0.002) -> PixelMap:
    """Map the pixels of an image of ``shape`` with coordinates ``source`` to those of ``target``.

    Parameters
    ----------
    source, target : gwcs.WCS
        Of the image and of the grid: 0-based x, y to the same sky.
    shape : tuple of int
        (..., ny, nx) of the image.
    tolerance : float
        Largest error allowed, pixel of the target; for the flight distortion nine points leave less than 1e-7.

    Raises
    ------
    BrokenWcs
        If the transform is not finite or too rough to be interpolated.
    """

    def exact(x: Any, y: Any) -> Any:
        sky = source(x, y, with_bounding_box=False)
        return target.invert(*sky, with_bounding_box=False)

    return interpolated(exact, shape, tolerance)


def interpolated(exact: Callable[[Any, Any], Any], shape: tuple[int, ...], tolerance: float) -> PixelMap:
    """Tabulate a transform of the pixels of an image of ``shape``, finely enough for ``tolerance``.

    Parameters
    ----------
    exact : callable
        Arrays of x, y (0-based pixels) to two arrays of the same shape.
    shape : tuple of int
        (..., ny, nx) of the image.
    tolerance : float
        Largest error allowed, in the unit of the results.

    Raises
    ------
    BrokenWcs
        If the transform is not finite or too rough to be interpolated.
    """
    limits = [(-0.5, size - 0.5) for size in (shape[-1], shape[-2])]
    for points in _POINTS:
        x, y = (_chebyshev(low, high, points) for low, high in limits)
        between = [0.5 * (nodes[1:] + nodes[:-1]) for nodes in (x, y)]
        values, check = _on_grids(exact, (x, y), (between[0], between[1]))
        found = PixelMap(x, y, values, np.inf)
        error = np.abs(found.on_grid(*between) - check).max()
        if not np.isfinite(error):
            raise BrokenWcs("world coordinates are not finite over the image", todo="run assign_wcs anew")
        if error <= tolerance:
            return PixelMap(x, y, found.values, float(error))
    raise BrokenWcs(f"the distortion cannot be interpolated to {tolerance} pixel ({error:.2g})")


def _on_grids(exact: Callable[[Any, Any], Any], *grids: tuple[Any, Any]) -> list[NDArray[np.float64]]:
    """Evaluate a transform on several grids at once, each (2, ny, nx): a call costs more than its points."""
    points = [np.meshgrid(x, y) for x, y in grids]
    places = exact(*(np.concatenate([axis.ravel() for axis in axes]) for axes in zip(*points, strict=True)))
    ends = np.cumsum([axes[0].size for axes in points])[:-1]
    parts = [np.split(np.asarray(values, dtype=float), ends) for values in places]
    return [np.stack([part[k].reshape(axes[0].shape) for part in parts]) for k, axes in enumerate(points)]


def _chebyshev(low: float, high: float, points: int) -> NDArray[np.float64]:
    return 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(points) / (points - 1))
