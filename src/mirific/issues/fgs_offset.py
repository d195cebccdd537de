"""FGS-MIRI alignment: a small offset of the boresight.

What it is and why it matters
-----------------------------
The alignment between the guiders and the MIRI focal plane had an error of 0.15 to 0.2 arcsec along V3, one to two
pixels. It shifts the pointing and the world coordinates of the exposures by 0.1 to 0.2 arcsec in right ascension and
declination. In the smallest subarray, SUB64, it can matter for the placement of the target.

How it is seen
--------------
From the version of the project reference database with which the pointing was computed (the boresight was corrected
in PRDOPSSOC-071, by 0.030 arcsec in V2 and 0.143 in V3), and as the shift against a reference catalogue, projected on
V3. mirific does not look for it yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline can align images to a catalogue in stage 3. Data processed with older databases keep the offset.
Those who need exact placement use target acquisition, which does not depend on the alignment.

What mirific does, and how safe it is
-------------------------------------
mirific explains it. The tweakreg step of `mirific run` aligns a set to an absolute catalogue, as officially
(tweakreg.abs_refcat), and so takes the offset out together with all others. A shift of the world coordinates touches
no pixel value.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="fgs-offset",
    code="",
    title="FGS-MIRI alignment: a small offset of the boresight",
    text=__doc__ or "",
    blind=NOT_YET,
)
