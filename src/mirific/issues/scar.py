"""Imager scar: a scratch that scatters light.

What it is and why it matters
-----------------------------
A scratch of 16 pixels on the surface of the detector, centred on pixel (428, 987) in the top left of the imager,
scatters light to both sides, perpendicular to itself. Its pixels still respond to light.

Under uniform light two diagonal stripes run parallel to the scratch, brighter than the background around them; where
they lie and how wide they are depends on the wavelength. A bright source on the scratch gets a profile that is not
that of a star: photometry and PSF subtraction of that source go wrong in that exposure.

How it is seen
--------------
As a stripe profile: the source-masked image summed along the direction of the scratch, on each exposure and on the
median of the dithers, where it gains significance. A source within reach of the scratch is known from the source
list. mirific does not look for it yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does nothing about it. The workaround is to dither, so that other exposures fill the place in
the mosaic, and to mask the scratch and its stripes by hand.

What mirific does, and how safe it is
-------------------------------------
mirific explains it, and does nothing about it yet. A mask of the scratch and of its stripes, a stripe model scaled to
the background, and a warning with the position and flux of a source on the scratch are foreseen. Today a mask of one's
own does the first by hand: it is given to stage 1 as dq_init.user_supplied_dq. A mask is safe as long as another
dither covers the place.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="scar",
    code="",
    title="Imager scar: a scratch that scatters light",
    text=__doc__ or "",
    blind=NOT_YET,
)
