"""Edge brightening: stray light along the left and bottom edges.

What it is and why it matters
-----------------------------
Stray light brightens the left and bottom edges of the imaging field and the surroundings of the knife edge. Where it
enters sky matching or a mosaic with few dithers, it leaves bright seams.

How it is seen
--------------
As the profile of the source-masked background towards each edge, against the interior, exposure by exposure, with a
width that follows the data. mirific does not look for it yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does nothing about it; dithers and tiles dilute it. The workaround is to trim a fixed number of
rows and columns, or to subtract a median background that contains the same stray light.

What mirific does, and how safe it is
-------------------------------------
mirific explains it, and does nothing about it yet. A profile built from the stack of dithers, subtracted along the
edges, is foreseen; trimming only what cannot be modelled. Dedicated background exposures that an association names are
subtracted, and take the stray light with them.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="edge-brightening",
    code="",
    title="Edge brightening: stray light along the left and bottom edges",
    text=__doc__ or "",
    blind=NOT_YET,
)
