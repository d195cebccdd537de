"""FITS files without ``astropy``: headers, samples of images, rows of tables.

Loading ``astropy.io.fits`` takes a tenth of a second, opening a product with it some milliseconds for each extension.
What JWST's files need of the standard is little. What is beyond it (compressed files, columns of variable length or
with a scale, keywords of more than eight letters) is left to ``astropy``.
"""

from __future__ import annotations

from mirific.fits_files.cards import card
from mirific.fits_files.headers import Unit, read_units, units_in
from mirific.fits_files.pieces import announce_pieces, open_for_pieces
from mirific.fits_files.samples import SampleCode
from mirific.fits_files.tables import read_table, row_type, table_cards, table_rows

__all__ = [
    "SampleCode",
    "Unit",
    "announce_pieces",
    "card",
    "open_for_pieces",
    "read_table",
    "read_units",
    "row_type",
    "table_cards",
    "table_rows",
    "units_in",
]
