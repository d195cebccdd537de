"""The known issues of MIRI imaging, one file each: all explained, five of them looked for, shown, mitigated, verified.

========================  ====================================================================
:mod:`.finding`           what a look at the data gives: :class:`Finding` and its evidence
:mod:`.known_issue`       what an issue is: :class:`Issue`, and its :class:`Explanation`
:mod:`.registry`          the tuple of all issues
:mod:`.catalogue`         one issue by its name, and :func:`explain`
:mod:`.diagnosis`         :func:`diagnose`: every issue on every group of exposures
one file per slug         :mod:`.scar`, :mod:`.bad_pixels`, ... in the order of :data:`SLUGS`
========================  ====================================================================

Importing this package is cheap; the modules above are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.issues.catalogue import explain, issue
    from mirific.issues.diagnosis import diagnose
    from mirific.issues.finding import Chart, Evidence, EvidenceTable, Finding, Picture
    from mirific.issues.known_issue import Explanation, Issue
    from mirific.issues.registry import ISSUES

__all__ = [
    "ISSUES",
    "SLUGS",
    "Chart",
    "Evidence",
    "EvidenceTable",
    "Explanation",
    "Finding",
    "Issue",
    "Picture",
    "diagnose",
    "explain",
    "issue",
]

#: Names of the known issues, in the order of the article, as the command line and the report use them.
SLUGS = (
    "scar",
    "bad-pixels",
    "showers",
    "persistence",
    "knife-edge",
    "lyot-offset",
    "edge-brightening",
    "tree-rings",
    "residual-background",
    "throughput-loss",
    "fgs-offset",
    "tile-misalignment",
    "outlier-overflagging",
)

_HOME = {
    "Chart": "finding",
    "Evidence": "finding",
    "Finding": "finding",
    "Picture": "finding",
    "EvidenceTable": "finding",
    "Explanation": "known_issue",
    "Issue": "known_issue",
    "ISSUES": "registry",
    "explain": "catalogue",
    "issue": "catalogue",
    "diagnose": "diagnosis",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
