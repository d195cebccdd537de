"""ASDF files: plain values by a reader of our own, transforms and world coordinates by ``asdf`` and ``gwcs``.

Loading ``asdf`` and ``gwcs`` takes more than a second, which stage 1 does not spend: parameters and metadata are plain
values (:mod:`~mirific.asdf_files.document`). Everything else is for the libraries (:mod:`~mirific.asdf_files.objects`).
"""

from __future__ import annotations

from mirific.asdf_files.document import Document, Tagged, Unsupported, plain, read_document, write_document
from mirific.asdf_files.objects import (
    described,
    finish_loading,
    load_in_background,
    made,
    plane_transform,
    read_objects,
    world_coordinates,
    write_objects,
)

__all__ = [
    "Document",
    "Tagged",
    "Unsupported",
    "described",
    "finish_loading",
    "load_in_background",
    "made",
    "plain",
    "plane_transform",
    "read_document",
    "read_objects",
    "world_coordinates",
    "write_document",
    "write_objects",
]
