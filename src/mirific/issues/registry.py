"""The known issues, registered: an explicit tuple in the order of the article."""

from __future__ import annotations

import difflib

from mirific.errors import ParameterError
from mirific.issues import (
    bad_pixels,
    edge_brightening,
    fgs_offset,
    knife_edge,
    lyot_offset,
    outlier_overflagging,
    persistence,
    residual_background,
    scar,
    showers,
    throughput_loss,
    tile_misalignment,
    tree_rings,
)
from mirific.issues.known_issue import Explanation, Issue

__all__ = ["ISSUES", "explain", "issue"]

ISSUES: tuple[Issue, ...] = (
    scar.ISSUE,
    bad_pixels.ISSUE,
    showers.ISSUE,
    persistence.ISSUE,
    knife_edge.ISSUE,
    lyot_offset.ISSUE,
    edge_brightening.ISSUE,
    tree_rings.ISSUE,
    residual_background.ISSUE,
    throughput_loss.ISSUE,
    fgs_offset.ISSUE,
    tile_misalignment.ISSUE,
    outlier_overflagging.ISSUE,
)


def issue(name: str) -> Issue:
    """Return the issue with this slug or article code.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    wanted = name.strip().lower().replace("_", "-")
    for item in ISSUES:
        if wanted in {item.slug, item.code.lower()} - {""}:
            return item
    known = [item.slug for item in ISSUES]
    close = difflib.get_close_matches(wanted, known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"the issues are: {', '.join(known)}"
    raise ParameterError(f"no known issue is called {name!r}", where="explain", todo=advice)


def explain(name: str | None = None) -> tuple[Explanation, ...]:
    """Explain one known issue, or all.

    Parameters
    ----------
    name : str, optional
        Slug ("bad-pixels") or article code ("MR-I02").

    Returns
    -------
    tuple of Explanation
        One for each issue asked for.

    Raises
    ------
    ParameterError
        If there is no issue of that name.

    Examples
    --------
    >>> explain("MR-I03")[0].slug
    'throughput-loss'
    """
    chosen = ISSUES if name is None else (issue(name),)
    return tuple(item.explanation() for item in chosen)
