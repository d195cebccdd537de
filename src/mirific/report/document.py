"""Findings for programs: the JSON of ``mirific diagnose --json`` and of ``report.json``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mirific.report.results import Results

__all__ = ["VERSION", "as_json"]

#: Version of the layout; it changes when a field changes its meaning.
VERSION = "1.0"


def as_json(results: Results) -> dict[str, Any]:
    """Return ``{"version", "inputs", "findings"}``.

    There is also ``"left"`` where issues were mitigated, and ``"set_aside"`` where something could not be used.
    """
    tree: dict[str, Any] = {
        "version": VERSION,
        "inputs": list(results.inputs),
        "findings": [finding.as_json() for finding in results.findings],
    }
    if results.left:
        tree["left"] = [finding.as_json() for finding in results.left]
    if results.set_aside:
        tree["set_aside"] = [asdict(item) for item in results.set_aside]
    return tree
