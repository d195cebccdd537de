"""Calibration files: chosen by CRDS, opened once, cut to the exposure's subarray.

:class:`Crds` asks the real ``crds`` client; :class:`FixedReferences` is its offline twin for tests;
:mod:`mirific.references.demo` writes a genuine CRDS cache of assumed references, from which both the official pipeline
and this one run with no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.references.crds_client import Crds
    from mirific.references.files import FixedReferences, ReferenceFile

__all__ = ["Crds", "FixedReferences", "ReferenceFile"]


def __getattr__(name: str) -> Any:
    if name == "Crds":
        from mirific.references.crds_client import Crds

        return Crds
    if name in {"FixedReferences", "ReferenceFile"}:
        from mirific.references import files

        return getattr(files, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
