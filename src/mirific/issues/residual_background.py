"""Residual background at long wavelengths.

What it is and why it matters
-----------------------------
The thermal background of the telescope dominates beyond 12.5 micrometres and reaches several hundred MJy/sr in F2100W
and F2550W. Without dedicated background exposures it stays in the image, with gradients and detector structure on top
that are brighter than many sources.

How it is seen
--------------
As the level, gradient and structure of the source-masked background, and a test whether an extended source fills the
field. mirific does not report it as a finding yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline subtracts dedicated background exposures if the association names them. Otherwise the workaround
is to build a median sky from the science exposures and to subtract it, if there is no galaxy or nebula in the field.

What mirific does, and how safe it is
-------------------------------------
mirific explains it. `mirific run` subtracts dedicated background exposures if an association names them, as officially.
It does not build a median sky from the science exposures yet. That is safe when the dithers exceed 1.5 FWHM and when no
extended source fills the field; otherwise it removes part of the source.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="residual-background",
    code="MR-I01",
    title="Residual background at long wavelengths",
    text=__doc__ or "",
    blind=NOT_YET,
)
