"""JWST product names, taken apart once and put together again; and what may be the name of a file.

``jw01040001005_03103_00001_mirimage_uncal.fits``: programme, observation, visit, visit group, parallel
sequence, activity, exposure, detector, suffix (JWST pipeline documentation, "File naming schemes"). What stage 3
makes of one exposure also has the association that it was made for: ``…_mirimage_o001_crf.fits``.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from mirific.errors import InputError

__all__ = ["SUFFIXES", "Name", "check_name", "part_of_name"]

#: Suffixes of what stage 3 makes of one exposure for one association.
_OF_ASSOCIATION = ("outlier_i2d", "median", "blot", "crf")

#: Suffixes that we read or write, in the order of the flow.
SUFFIXES = (
    *("uncal", "ramp", "rateints", "ratefix", "rate", "calints", "cal"),
    *(*_OF_ASSOCIATION, "i2d", "segm", "cat"),
)

#: Identifiers of associations as the observatory gives them, or any word behind the detector.
_ASSOCIATION = r"_(?P<known>[oca][0-9]{3,4})|(?<=_mirimage)_(?P<word>[A-Za-z0-9-]+)"

_SUFFIX = re.compile(
    rf"(?:(?:{_ASSOCIATION})?_(?P<third>{'|'.join(_OF_ASSOCIATION)})|_(?P<suffix>{'|'.join(SUFFIXES)}))$"
)

#: Longest name without suffix, bytes: with suffix and ending it stays below the 255 that file systems hold.
_LONGEST = 220

#: Kinds of letters that no name has (Unicode: control, format, separators of lines and paragraphs).
_UNSEEN = frozenset(("Cc", "Cf", "Zl", "Zp"))


@dataclass(frozen=True)
class Name:
    """Name of a product: what the observatory calls the data, and the level as suffix.

    Parameters
    ----------
    root : str
        Name of the exposure or mosaic.
    suffix : str
        Level; empty if it has none that we know.
    association : str
        Identifier of the association (``asn_id``) that stage 3 made the product for; empty for others.

    Examples
    --------
    >>> Name.parse("jw01040001005_03103_00001_mirimage_uncal.fits").with_suffix("rate").file
    'jw01040001005_03103_00001_mirimage_rate.fits'
    >>> Name.parse("jw01040001005_03103_00001_mirimage_o001_crf.fits").association
    'o001'
    """

    root: str
    suffix: str
    association: str = ""

    @classmethod
    def parse(cls, path: str | Path) -> Name:
        """Split a file name at its suffix; a name without a known one has the empty suffix."""
        stem = Path(path).name
        for ending in (".gz", ".fits", ".asdf", ".ecsv", ".json"):
            stem = stem.removesuffix(ending)
        found = _SUFFIX.search(stem)
        if not found:
            return cls(stem, "")
        return cls(stem[: found.start()], found["third"] or found["suffix"], found["known"] or found["word"] or "")

    def with_suffix(self, suffix: str) -> Name:
        """Return the name of the same data at another level."""
        return replace(self, suffix=suffix)

    @property
    def file(self) -> str:
        """The FITS file name.

        Raises
        ------
        InputError
            If it cannot be the name of a file.
        """
        check_name(self.root, None)
        return "_".join(part for part in (self.root, self.association, self.suffix) if part) + ".fits"


def check_name(name: str, where: object) -> str:
    """Return a name for a product, without suffix and ending, that is one: it leads to no other folder.

    Raises
    ------
    InputError
        If it is empty or too long, begins with a dot, has slashes or letters that cannot be seen, or cannot be written
        to a file system.
    """
    refusal = _why_no_name(name)
    if refusal:
        shown = ascii(name if len(name) <= 60 else f"{name[:60]}…")
        raise InputError(
            f"{shown} cannot be the name of a product: {refusal}", where=where, todo="give it another name"
        )
    return name


def _why_no_name(name: str) -> str:
    """What is wrong with a name; empty if nothing is."""
    if not name.strip():
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it has slashes"
    if name.startswith("."):
        return "it begins with a dot"
    if any(unicodedata.category(letter) in _UNSEEN for letter in name):
        return "it has letters that cannot be seen"
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        return "it has letters that no file name can have"
    return f"it has more than {_LONGEST} bytes" if size > _LONGEST else ""


def part_of_name(value: str) -> str:
    """What a name can have of the value of a header: letters, digits and hyphens; a hyphen for any run of others.

    >>> part_of_name("/../../../x"), part_of_name("F770W")
    ('x', 'F770W')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", value).strip("-")[: _LONGEST // 4]
