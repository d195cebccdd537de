"""Imager knife edge: a protrusion into the field of view.

What it is and why it matters
-----------------------------
A knife edge, made for optical tests, protrudes into the left side of the imager's field of view and blocks a part of
it, about 58 by 64 pixels around column 386, row 350. In mosaics whose tiles overlap little, the blocked part leaves a
gap.

How it is seen
--------------
As the footprint with its real shape, and as the coverage of the planned or finished mosaic. mirific does not report
gaps as findings yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The flat-field reference flags the blocked pixels as NON_SCIENCE. The default overlap of 10 % between tiles covers the
gap; less overlap does not with every dither pattern.

What mirific does, and how safe it is
-------------------------------------
mirific explains it. The blocked pixels never enter a mosaic, since they carry NON_SCIENCE and DO_NOT_USE. A report of
the uncovered area, and of the overlap or dither that closes it, is foreseen. Nothing of this touches pixel values.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="knife-edge",
    code="",
    title="Imager knife edge: a protrusion into the field of view",
    text=__doc__ or "",
    blind=NOT_YET,
)
