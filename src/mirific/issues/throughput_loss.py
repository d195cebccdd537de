"""Time-dependent loss of throughput from 12.8 micrometres up.

What it is and why it matters
-----------------------------
The count rates of the imager fall with time; the loss grows with wavelength, from barely detectable at 12.8
micrometres to about a fifth in the first year at 25.5. Fluxes of different epochs disagree unless the calibration
follows it.

How it is seen
--------------
In the header: date of the exposure, calibration version, CRDS context, photom reference and PHOTMJSR, against the
time-dependent table; and in the data, as flux ratios of the same stars at different epochs. mirific does not report
it as a finding yet.

What the official pipeline does, and the workaround
---------------------------------------------------
The photom step applies time-dependent terms from the reference file. Products made with references older than
15 September 2023, or without those terms, have fluxes that are too low. The workaround is to reprocess with a
new context.

What mirific does, and how safe it is
-------------------------------------
mirific explains it, and its photom step applies the same terms, once. It does not check or mend products that were made
elsewhere; `mirific run` on the count rates (_rate) with a new CRDS context gives right fluxes.
"""

from __future__ import annotations

from mirific.issues.known_issue import NOT_YET, Issue

__all__ = ["ISSUE"]

ISSUE = Issue(
    slug="throughput-loss",
    code="MR-I03",
    title="Time-dependent loss of throughput from 12.8 micrometres up",
    text=__doc__ or "",
    blind=NOT_YET,
)
