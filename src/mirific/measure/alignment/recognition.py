"""Which shift makes one sky of two short lists of sources, where coincidences alone prove little.

One coincidence of two sources of like flux may be chance. But what one visit sees, the other one must see too where
it looks, and what it does not see tells as much. So each candidate shift gets its likelihood, of the sources that it
matches, of those that it should match and does not, and of chance coincidences at the density of the sources; and the
best one counts if it is far more likely than all others together, and than two lists without relation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import spatial, special

from mirific.measure.alignment.registration import Catalog

__all__ = ["Recognised", "SeenList", "recognised"]

_Floats = NDArray[np.float64]

#: Matched-filter signal-to-noise ratio at which half of the sources are found, its spread, and how many of bright ones.
_HALF_FOUND, _FOUND_SPREAD, _MOST_FOUND = 5.5, 1.5, 0.97

#: Fluxes of one source differ by as much beside the noise, in e-folds.
_FLUX_SCATTER = 0.05

#: Positions of one source differ by as much beside the noise, arcsec: galaxies, blends.
_POSITION_SCATTER = 0.02

#: How often two visits that overlap are farther apart than what is looked for; what part of the others comes from
#: guide stars misplaced by so much per axis, arcsec, as the known-issues article tells (1 to 2 arcsec, seldom more).
#: The rest is spread evenly.
_BEYOND_REACH = 0.01
_USUAL, _USUAL_ERROR = 0.8, 1.2

#: At most so many candidates, those of the rarest fluxes first.
_CANDIDATES = 300


@dataclass(frozen=True)
class SeenList:
    """Sources of a group of exposures and where it would see one.

    Parameters
    ----------
    catalog : Catalog
    sees : callable
        Which of the positions (n, 2), arcsec, it sees.
    area : float
        On the sky, arcsec².
    """

    catalog: Catalog
    sees: Callable[[_Floats], NDArray[np.bool_]]
    area: float

    def found(self) -> _Floats:
        """Probability that each source would be found where it is seen again."""
        return np.asarray(_MOST_FOUND * special.ndtr((self.catalog.snr - _HALF_FOUND) / _FOUND_SPREAD), dtype=float)

    def density(self) -> _Floats:
        """Of sources like each one, per arcsec² and e-fold of the flux."""
        flux = np.log(self.catalog.flux)
        like = (np.abs(flux[:, None] - flux) < 0.7).sum(axis=1)
        return np.asarray((like + 0.5) / 1.4 / self.area, dtype=float)


@dataclass(frozen=True)
class Recognised:
    """The shift that is far more likely than all others.

    Parameters
    ----------
    shift : float array, shape (2,)
        Of B against A, east and north, arcsec.
    odds : float
        Of this shift against all others and none.
    matched : int
        Sources that it rests on.
    """

    shift: _Floats
    odds: float
    matched: int


@dataclass(frozen=True)
class _Candidate:
    """A shift, the logarithm of its evidence, and the pairs that it matches."""

    shift: _Floats
    evidence: float
    pairs: frozenset[tuple[int, int]]


def recognised(
    a: SeenList, b: SeenList, *, reach: float, radius: float, follows: Callable[[_Floats], NDArray[np.bool_]]
) -> Recognised | None:
    """Find the shift of ``b`` against ``a`` that makes one sky of both.

    Parameters
    ----------
    a, b : SeenList
    reach : float
        Largest shift looked for, arcsec.
    radius : float
        Shifts closer than this are one, arcsec: about the width of the PSF.
    follows : callable
        Which of the offsets (n, 2), arcsec, are those of things that move with the detector.

    Returns
    -------
    Recognised or None
        None if nothing is alike.
    """
    if not len(a.catalog) or not len(b.catalog):
        return None
    likeness = _Likeness(a, b, reach, follows)
    first, second = likeness.alike()
    known: dict[frozenset[tuple[int, int]], _Candidate] = {}
    for p, q in zip(first, second, strict=True):
        candidate = likeness.candidate(b.catalog.position[q] - a.catalog.position[p])
        if candidate is not None:
            known[candidate.pairs] = candidate
    if not known:
        return None
    candidates = sorted(known.values(), key=lambda item: -item.evidence)
    best = candidates[0]
    others = [c.evidence for c in candidates[1:] if np.hypot(*(c.shift - best.shift)) > radius]
    rivals = special.logsumexp([np.log(_BEYOND_REACH), likeness.nothing_matched(), *others])
    return Recognised(best.shift, float(np.exp(min(best.evidence - rivals, 600.0))), len(best.pairs))


class _Likeness:
    """Likelihood of shifts between two lists."""

    def __init__(self, a: SeenList, b: SeenList, reach: float, follows: Callable[[_Floats], NDArray[np.bool_]]) -> None:
        self._a, self._b, self._reach, self._follows = a, b, reach, follows
        self._tree = spatial.cKDTree(b.catalog.position)
        self._found = a.found(), b.found()
        self._density = b.density()

    def alike(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs within reach whose fluxes are alike, those that tell most first."""
        a, b = self._a.catalog, self._b.catalog
        lists = spatial.cKDTree(a.position).query_ball_tree(self._tree, self._reach)
        first = np.repeat(np.arange(len(a)), [len(item) for item in lists])
        second = np.array([j for item in lists for j in item], dtype=np.intp)
        if not first.size:
            return first, second
        keep = np.abs(self._pull_of_flux(first, second)) < 3.0
        keep &= ~self._follows(b.position[second] - a.position[first])
        first, second = first[keep], second[keep]
        order = np.argsort(self._density[second], kind="stable")[:_CANDIDATES]
        return first[order], second[order]

    def _pull_of_flux(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> _Floats:
        a, b = self._a.catalog, self._b.catalog
        apart = np.log(a.flux[first] / b.flux[second])
        return np.asarray(apart / self._flux_error(first, second), dtype=float)

    def _flux_error(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> _Floats:
        noise = np.hypot(1.0 / self._a.catalog.snr[first], 1.0 / self._b.catalog.snr[second])
        return np.asarray(np.hypot(noise, _FLUX_SCATTER), dtype=float)

    def _position_error(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> _Floats:
        noise = np.hypot(self._a.catalog.error[first], self._b.catalog.error[second])
        return np.asarray(np.hypot(noise, _POSITION_SCATTER), dtype=float)

    def candidate(self, shift: _Floats) -> _Candidate | None:
        """The shift near ``shift`` that its matches agree on; None if it matches nothing."""
        for _ in range(3):
            first, second = self._matched(shift)
            if not first.size:
                return None
            weight = self._position_error(first, second) ** -2.0
            offsets = self._b.catalog.position[second] - self._a.catalog.position[first]
            shift = (weight[:, None] * offsets).sum(axis=0) / weight.sum()
        pairs = frozenset(zip(first.tolist(), second.tolist(), strict=True))
        return _Candidate(shift, self._evidence(shift, first, second), pairs)

    def _matched(self, shift: _Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The nearest source of ``b`` to each of ``a``, where place and flux agree; each source once."""
        first = np.arange(len(self._a.catalog))
        distance, second = self._tree.query(self._a.catalog.position + shift)
        agree = distance < 3.5 * self._position_error(first, second)
        agree &= np.abs(self._pull_of_flux(first, second)) < 3.5
        agree &= ~self._follows(self._b.catalog.position[second] - self._a.catalog.position[first])
        first, second, distance = first[agree], second[agree], distance[agree]
        order = np.argsort(distance, kind="stable")
        _, once = np.unique(second[order], return_index=True)
        return first[order][once], second[order][once]

    def _evidence(self, shift: _Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
        """Logarithm of the likelihood of a shift, over its prior within reach, relative to lists without relation."""
        a, b = self._a.catalog, self._b.catalog
        error = self._position_error(first, second)
        apart = np.hypot(*(b.position[second] - a.position[first] - shift).T)
        place = -0.5 * (apart / error) ** 2 - np.log(2.0 * np.pi * error**2)
        width = self._flux_error(first, second)
        flux = -0.5 * self._pull_of_flux(first, second) ** 2 - 0.5 * np.log(2.0 * np.pi * width**2)
        found = np.log(np.maximum(self._found[0][first], 1e-3)) - np.log(self._density[second])
        prior = self._prior(shift) + np.log(2.0 * np.pi / (error**-2.0).sum())
        return float((place + flux + found).sum() + prior + self._missed(shift, first, second))

    def _prior(self, shift: _Floats) -> float:
        """Logarithm of the probability density of a shift, per arcsec²."""
        usual = np.exp(-0.5 * (shift**2).sum() / _USUAL_ERROR**2) / (2.0 * np.pi * _USUAL_ERROR**2)
        return float(np.log(_USUAL * usual + (1.0 - _USUAL) / (np.pi * self._reach**2)))

    def _missed(self, shift: _Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
        """Logarithm of the probability that sources are not found although they are in view."""
        total = 0.0
        for seen, other, found, taken, sign in (
            (self._a, self._b, self._found[0], first, 1.0), (self._b, self._a, self._found[1], second, -1.0)
        ):  # fmt: skip
            left = np.ones(len(seen.catalog), dtype=bool)
            left[taken] = False
            left[left] = other.sees(seen.catalog.position[left] + sign * shift)
            total += float(np.log1p(-found[left]).sum())
        return total

    def nothing_matched(self) -> float:
        """Logarithm of the evidence for shifts within reach at which no source is found again."""
        nobody = np.empty(0, dtype=np.intp)
        turns = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
        places = [np.zeros(2), *(0.7 * self._reach * np.array([np.cos(t), np.sin(t)]) for t in turns)]
        return float(special.logsumexp([self._missed(place, nobody, nobody) for place in places]) - np.log(9.0))
