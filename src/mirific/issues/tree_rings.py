"""Tree rings and striping left in calibrated images.

What it is and why it matters
-----------------------------
Calibrated images can show arcs like the rings of a tree and stripes along columns, sometimes rows. They are
residual effects of the detector that the reference files do not remove in all cases; the stripes come from variations
of the dark current in time. They limit photometry of faint and of extended sources.

How it is seen
--------------
As a pattern fixed to the detector in the source-masked stack of dithers, and as excess power along columns and rows.
mirific does not look for it yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline has no default correction; a flicker-noise step exists and is off for MIRI. The workaround is a
median background, built from dedicated background exposures or from the science exposures, and subtracted.

What mirific does, and how safe it is
-------------------------------------
mirific explains it. Dedicated background exposures that an association names are subtracted, as officially; a median
background of the science exposures is not made yet. It is safe where the dithers are at least 1.5 FWHM and no extended
source fills the field.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="tree-rings",
    code="MR-I02",
    title="Tree rings and striping left in calibrated images",
    text=__doc__ or "",
    blind=NOT_YET,
)
