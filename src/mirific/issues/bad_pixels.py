"""Bad pixels: hot, dead and shorted ones that the mask does not know.

What it is and why it matters
-----------------------------
Some pixels of the detector do not respond, or give far too much signal, and two columns (385 and 386) are shorted.
The bad-pixel mask flags those that are known. Others appear with time, and older masks lack them. A pixel that is
always wrong is no outlier of one exposure: with few dithers it enters the mosaic, once for each dither.

How it is seen
--------------
By self-calibration: the local background is subtracted from each exposure, sources are masked, and the median over
the exposures is taken in detector coordinates. The sky moves with the dithers and drops out; what stays belongs to
the detector. A pixel is called bad when it stands out from the scatter of that median around it by more than the
threshold, and does so in nearly every exposure. The scatter is measured from the data, so that noise models do not
matter. Light that leaks from a very hot pixel into its neighbours is measured and taken out first. A column is called
bad as a whole when many of its pixels are.

With one exposure, or without dithers, only pixels sharper than any star are reported, and cosmic-ray residues may be
among them.

What the official pipeline does, and the workaround
---------------------------------------------------
The dq_init step flags the pixels of the mask reference as DO_NOT_USE. New bad pixels are left to outlier detection,
which needs enough dithers. The workaround is a mask of one's own, given to dq_init as user_supplied_dq.

What mirific does, and how safe it is
-------------------------------------
The step sets DO_NOT_USE, and HOT or DEAD, in the products; each flag carries the name of this issue. Dithers fill the
pixels in the mosaic. The list is part of the finding and can be used as user_supplied_dq. The risk is to lose a good
pixel: the threshold keeps that below one in a thousand, and compact sources that do not move between exposures are
protected by their shape.
"""

from __future__ import annotations

from mirific.issues.known_issue import Issue

__all__ = ["ISSUE"]

ISSUE = Issue(slug="bad-pixels", code="", title="Bad pixels that the mask does not know", text=__doc__ or "")
