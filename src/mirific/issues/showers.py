"""Cosmic-ray showers: diffuse bursts of charge.

What it is and why it matters
-----------------------------
An energetic cosmic ray can release a diffuse, irregular cloud of charge over hundreds of pixels. The charge arrives
over many groups and decays; it seldom saturates. What remains in the count rate looks like faint extended emission,
tens to hundreds of pixels across, and limits deep imaging of faint extended sources.

How it is seen
--------------
In the ramp: the differences between groups, smoothed over a few pixels and compared with the noise that the data
themselves show. It takes the raw ramp; in a rate or calibrated image a shower can no longer be told from emission of
the sky, except by comparing dithers. mirific does not report showers as findings yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The jump step of the official pipeline can look for showers. It flags far too much at long wavelengths and is
therefore off for F1800W, F2100W and F2550W. Where it is on, it flags ellipses for a fixed time. The workaround is to
mask showers by eye, or to have enough dithers for outlier detection to remove them.

What mirific does, and how safe it is
-------------------------------------
mirific explains it. A signed detector, whose noise is measured from the data, belongs to stage 1, flags the affected
groups only and leaves the rest of each ramp to the fit. Flags of groups are safe: they cost exposure time, not
pixels, and each carries the name of the step that set it.
"""

from __future__ import annotations

from mirific.issues.known_issue import Issue

__all__ = ["ISSUE"]

ISSUE = Issue(slug="showers", code="", title="Cosmic-ray showers: diffuse bursts of charge", text=__doc__ or "")
