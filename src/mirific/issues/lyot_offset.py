"""Lyot offset: the background in the Lyot field differs from that of the imager.

What it is and why it matters
-----------------------------
The field of the Lyot coronagraph is a bonus to imaging: behind all its optics but the occulting spot and the support of
the spot it sees the sky. In some data its background does not continue that of the imager (F2550W: 870-880 MJy/sr in the
Lyot, 850-860 in the imager). The step is small, but it is seen by eye, it stays in a mosaic as a patch, and it keeps the
matching of sky levels from finding one level for each exposure.

How it is seen
--------------
In each calibrated exposure, as the difference between the backgrounds of the two fields, without sources, spot and support.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does nothing about it. The workaround is to leave the Lyot out of the mosaic, or to subtract a
constant from it by hand.

What mirific does, and how safe it is
-------------------------------------
The mitigation subtracts the measured step in the Lyot field only. The imager is never touched.
"""

from __future__ import annotations

from mirific.issues.known_issue import Issue

__all__ = ["ISSUE"]

ISSUE = Issue(slug="lyot-offset", code="", title="Lyot offset: another background in the Lyot", text=__doc__ or "")
