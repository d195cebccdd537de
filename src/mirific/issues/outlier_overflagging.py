"""Overflagging of pixels by outlier detection.

What it is and why it matters
-----------------------------
Outlier detection compares each exposure with the median of all. Where the exposures disagree for another reason than
cosmic rays, it flags the centres of sources or large blocks of pixels. The mosaic then has gaps, or too little light in
its sources.

How it is seen
--------------
In the flags of the exposures after outlier detection: how many pixels in the cores of sources, how large the blocks.

What the official pipeline does, and the workaround
---------------------------------------------------
The official pipeline does not notice it. The workaround is to find the cause: tiles that are misaligned, or thresholds
(snr, scale) that are too tight, and to run stage 3 again.

What mirific does, and how safe it is
-------------------------------------
mirific names the cause with numbers and proposes what to change.
"""

from __future__ import annotations

from mirific.issues.known_issue import Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="outlier-overflagging", code="", title="Overflagging of pixels by outlier detection", text=__doc__ or ""
)
