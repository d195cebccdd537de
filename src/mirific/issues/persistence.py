"""Persistence: what a bright source leaves behind.

What it is and why it matters
-----------------------------
A bright source, a snowball or a slitless spectrum leaves charge behind. For some minutes the pixels read too high;
then, for hours, too low: of the order of a percent after saturation, because trapped charge competes with the new. It
stays through slews and filter changes, so the source may belong to another programme or to time when MIRI was not in
use.

Affected pixels stay fixed on the detector: in a mosaic they appear as dark ghosts or trails, one for each dither.

How it is seen
--------------
Predicted: earlier exposures, ordered in time, with saturated or nearly saturated pixels, and the decay law.
Measured: pixels that are too faint in every dither in detector coordinates while their neighbours are not.
mirific does not look for it yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline has no correction for persistence in MIRI imaging; a step that flags pixels for a given time
after saturation exists and is off. The workarounds are to set DO_NOT_USE in the affected pixels before stage 3, or to
subtract the median of the dithers.

What mirific does, and how safe it is
-------------------------------------
mirific explains it, and does nothing about it by itself yet. The flagging step is there as officially, and off; a mask
of one's own is given to stage 1 as dq_init.user_supplied_dq. A mask is safe where dithers fill the place; subtracting
a median, which mirific does not do yet, is safe only where the dithers are larger than the sources.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="persistence",
    code="",
    title="Persistence: what a bright source leaves behind",
    text=__doc__ or "",
    blind=NOT_YET,
)
