"""Results to HTML, JSON and text; everything is computed before it comes here.

:class:`Results` holds what there is to say; :func:`as_html`, :func:`as_json` and :func:`print_text` say it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.report.document import as_json
    from mirific.report.html import as_html
    from mirific.report.results import Comparison, FlagCount, Omission, ProductEntry, Results, StepRow
    from mirific.report.text import print_comparisons, print_text

__all__ = [
    "Comparison",
    "FlagCount",
    "Omission",
    "ProductEntry",
    "Results",
    "StepRow",
    "as_html",
    "as_json",
    "print_comparisons",
    "print_text",
]

_HOMES = {
    "Comparison": "results",
    "FlagCount": "results",
    "Omission": "results",
    "ProductEntry": "results",
    "Results": "results",
    "StepRow": "results",
    "as_html": "html",
    "as_json": "document",
    "print_comparisons": "text",
    "print_text": "text",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mirific.report.{_HOMES[name]}"), name)
    raise AttributeError(name)
