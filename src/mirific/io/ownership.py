"""Whose a file is: what mirific wrote it may replace, everything else is the user's and stays.

Every file that mirific writes names its maker: FITS products in CAL_VER, as the official ones do, and others at their
beginning, as ``generator``. The official pipeline puts itself there when it makes a product of ours.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

from mirific.errors import OutputError
from mirific.fits_files import UNREADABLE, open_for_pieces, read_primary

__all__ = ["HIDDEN", "check_replaceable", "generator", "software", "version_of", "written_by_mirific"]

#: Folder beside the products for what mirific keeps to itself; nobody else writes there.
HIDDEN = ".mirific"

#: Bytes at the beginning of a file in which a text or table names its maker.
_HEAD = 1 << 16

_NAMED = re.compile(rb"""(generator|code_version|calibration_software_version)["']?\s*(content=|:)\s*["']?mirific """)

#: How the JSON of findings begins, whose layout scripts depend on: there is no room for a maker.
_FINDINGS = re.compile(rb'\{\n  "version": "[\d.]+",\n  "inputs": \[')


@cache
def version_of(package: str) -> str:
    """Installed version of a package; reading what the installation says of it takes a millisecond."""
    return metadata.version(package)


def generator() -> str:
    """What texts and tables name as their maker."""
    return f"mirific {version_of('mirific')}"


def software() -> str:
    """CAL_VER of products: mirific, and the release of ``jwst`` beside which it computes."""
    return f"{generator()} (jwst {version_of('jwst')})"


def written_by_mirific(path: Path) -> bool:
    """Whether mirific wrote a file, and nobody else since; one that cannot be read is somebody else's."""
    if path.parent.name == HIDDEN:
        return True
    try:
        with open(open_for_pieces(path), "rb") as stream:
            head = stream.read(_HEAD)
        if not head.startswith(b"SIMPLE  ="):
            return _NAMED.search(head) is not None or _FINDINGS.match(head) is not None
        return str(read_primary(path).get("CAL_VER", "")).startswith("mirific ")
    except UNREADABLE:
        return False


def check_replaceable(path: Path) -> None:
    """Refuse to replace what mirific did not write.

    Raises
    ------
    OutputError
        Naming the file.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir():
        raise OutputError("a folder has the name of a file to be written", where=path, todo="choose another folder")
    if not written_by_mirific(path):
        what = "this file is there already, and mirific did not write it"
        raise OutputError(what, where=path, todo="move it away or choose another folder")
