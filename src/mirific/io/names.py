"""JWST product names, taken apart once and put together again.

``jw01040001005_03103_00001_mirimage_uncal.fits``: programme, observation, visit, visit group, parallel
sequence, activity, exposure, detector, suffix (JWST pipeline documentation, "File naming schemes").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SUFFIXES", "Name"]

#: Suffixes that we read or write, in the order of the flow.
SUFFIXES = (
    *("uncal", "ramp", "rateints", "ratefix", "rate", "calints", "cal"),
    *("outlier_i2d", "median", "blot", "crf", "i2d", "segm", "cat"),
)

_SUFFIX = re.compile(r"_(" + "|".join(SUFFIXES) + r")$")


@dataclass(frozen=True)
class Name:
    """Name of a product: what the observatory calls the data, and the level as suffix.

    >>> Name.parse("jw01040001005_03103_00001_mirimage_uncal.fits").with_suffix("rate").file
    'jw01040001005_03103_00001_mirimage_rate.fits'
    """

    root: str
    suffix: str

    @classmethod
    def parse(cls, path: str | Path) -> Name:
        """Split a file name at its suffix; a name without a known one has the empty suffix."""
        stem = Path(path).name
        for ending in (".gz", ".fits", ".ecsv", ".json"):
            stem = stem.removesuffix(ending)
        found = _SUFFIX.search(stem)
        return cls(stem[: found.start()], found[1]) if found else cls(stem, "")

    def with_suffix(self, suffix: str) -> Name:
        """Return the name of the same data at another level."""
        return Name(self.root, suffix)

    @property
    def file(self) -> str:
        """The FITS file name."""
        return f"{self.root}_{self.suffix}.fits" if self.suffix else f"{self.root}.fits"
