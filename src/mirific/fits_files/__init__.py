"""What lies where in FITS files, and how to read pieces of them.

``astropy.io.fits`` reads cards and tables. Images are read in pieces, straight from where they lie: a raw exposure and
its dark are larger than what memory is for.
"""

from __future__ import annotations

from mirific.fits_files.pieces import announce_pieces, open_for_pieces
from mirific.fits_files.samples import SampleCode
from mirific.fits_files.tables import open_table, read_tables
from mirific.fits_files.units import RECORD, UNREADABLE, Keywords, Unit, content_of, is_packed, read_primary, read_units

__all__ = [
    "RECORD",
    "UNREADABLE",
    "Keywords",
    "SampleCode",
    "Unit",
    "announce_pieces",
    "content_of",
    "is_packed",
    "open_for_pieces",
    "open_table",
    "read_primary",
    "read_tables",
    "read_units",
]
