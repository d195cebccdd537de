"""Issues by name: only the file of the one that is asked for is loaded."""

from __future__ import annotations

import difflib
import importlib

from mirific.errors import ParameterError
from mirific.issues import SLUGS
from mirific.issues.known_issue import Explanation, Issue

__all__ = ["explain", "issue"]


def issue(name: str) -> Issue:
    """Return the issue with this slug or article code.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    wanted = name.strip().lower().replace("_", "-")
    if wanted in SLUGS:
        return _of_slug(wanted)
    coded = next((item for item in map(_of_slug, SLUGS) if wanted and wanted == item.code.lower()), None)
    if coded is not None:
        return coded
    close = difflib.get_close_matches(wanted, SLUGS, n=1)
    advice = f"did you mean {close[0]}?" if close else f"the issues are: {', '.join(SLUGS)}"
    raise ParameterError(f"no known issue is called {name!r}", where="explain", todo=advice)


def _of_slug(slug: str) -> Issue:
    found: Issue = importlib.import_module(f"mirific.issues.{slug.replace('-', '_')}").ISSUE
    return found


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
    chosen = SLUGS if name is None else (name,)
    return tuple(issue(item).explanation() for item in chosen)
