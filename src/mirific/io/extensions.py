"""Tables beside the images: those of JWST products, and two of our own.

``FLAGSRC`` says who set which flag, ``STEPS`` what was done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import FlagProvenance, StepRecord

__all__ = [
    "ASDF",
    "FLAGSRC",
    "HDRTAB",
    "INT_TIMES",
    "STEPS",
    "flags_from",
    "flags_image",
    "history_from",
    "steps_table",
]

#: Names of the extensions.
FLAGSRC, STEPS = "FLAGSRC", "STEPS"

#: Name of the extension with metadata that have no keyword, and the world coordinates, as in official products.
ASDF = "ASDF"

#: Name of the table of header values of the exposures in a mosaic, as in official products.
HDRTAB = "HDRTAB"

#: Name of the table of the times of integrations, as in official products.
INT_TIMES = "INT_TIMES"


def flags_image(flags: FlagProvenance) -> tuple[NDArray[np.uint32], list[tuple[str, str, str]]]:
    """Provenance of flags as pixels (ny, nx) or (nplanes, ny, nx): bit k is the source that card ``SRCk`` names.

    Returns
    -------
    planes : uint32 array
    cards : list of (keyword, value, comment)
    """
    planes = flags.as_planes()
    cards = [(f"SRC{k}", label, "step or issue : DQ bit") for k, label in enumerate(flags.labels())]
    return planes[0] if len(planes) == 1 else planes, cards


def flags_from(planes: NDArray[Any], cards: Mapping[str, Any]) -> FlagProvenance:
    """Undo :func:`flags_image`."""
    pixels = np.asarray(planes, dtype=np.uint32)
    sources = {card: label for card, label in cards.items() if card.startswith("SRC")}
    labels = tuple(sources[f"SRC{k}"] for k in range(len(sources)))
    return FlagProvenance.from_planes(pixels.reshape(-1, *pixels.shape[-2:]), labels)


def steps_table(history: tuple[StepRecord, ...]) -> NDArray[Any]:
    """History as a table, one row a step; wall times stay out, so that equal runs give equal files."""
    names = ("step", "status", "parameters", "references", "reason")
    texts = [
        (r.step, r.status, json.dumps(dict(r.parameters), default=str), json.dumps(dict(r.references)), r.reason)
        for r in history
    ]
    rows = [tuple(_ascii(text) for text in row) for row in texts]
    widths = [max(1, *map(len, column)) for column in zip(*rows, strict=True)]
    return np.array(rows, dtype=[(n, f"S{w}") for n, w in zip(names, widths, strict=True)])


def history_from(table: NDArray[Any]) -> tuple[StepRecord, ...]:
    """Undo :func:`steps_table`."""
    return tuple(
        StepRecord(
            _text(row["step"]),
            _text(row["status"]),
            0.0,
            json.loads(_text(row["parameters"])),
            json.loads(_text(row["references"])),
            _text(row["reason"]),
        )
        for row in np.asarray(table)
    )


def _ascii(text: str) -> bytes:
    """Text as FITS can hold it, other characters escaped (FITS standard 4.0, section 4.2.1)."""
    return text.replace("\\", "\\\\").encode("ascii", "backslashreplace")


def _text(value: Any) -> str:
    """Undo :func:`_ascii`."""
    plain = value if isinstance(value, bytes) else str(value).encode("ascii")
    return plain.decode("unicode_escape")
