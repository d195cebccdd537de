"""Tables beside the images: those of JWST products, and two of our own.

``FLAGSRC`` says who set which flag, ``STEPS`` what was done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.exposure import DQ, FlagProvenance, StepRecord

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
    """Undo :func:`flags_image`.

    Raises
    ------
    ValueError
        If the cards do not name the sources of the bits.
    """
    pixels = np.asarray(planes, dtype=np.uint32)
    stack = pixels.reshape(-1, *pixels.shape[-2:])
    sources = [cards.get(f"SRC{k}") for k in range(sum(card.startswith("SRC") for card in cards))]
    labels = tuple(label for label in sources if isinstance(label, str) and label.rpartition(":")[2] in DQ)
    if len(labels) < len(sources) or len(labels) > 32 * len(stack):
        raise ValueError(f"{len(labels)} of {len(sources)} cards SRCk name a source and a bit")
    return FlagProvenance.from_planes(stack, labels)


def steps_table(history: tuple[StepRecord, ...]) -> NDArray[Any]:
    """History as a table, one row a step; wall times stay out, so that equal runs give equal files."""
    names = ("step", "status", "parameters", "references", "reason", "measured")
    texts = [
        (
            record.step,
            record.status,
            json.dumps(dict(record.parameters), default=str),
            json.dumps(dict(record.references)),
            record.reason,
            json.dumps(dict(record.measured)),
        )
        for record in history
    ]
    rows = [tuple(_ascii(text) for text in row) for row in texts]
    widths = [max(1, *map(len, column)) for column in zip(*rows, strict=True)]
    return np.array(rows, dtype=[(n, f"S{w}") for n, w in zip(names, widths, strict=True)])


def history_from(table: NDArray[Any]) -> tuple[StepRecord, ...]:
    """Undo :func:`steps_table`; tables of earlier versions do not have what was measured.

    Raises
    ------
    ValueError
        If it is no such table.
    """
    numbers = "measured" in (np.asarray(table).dtype.names or ())
    try:
        return tuple(
            StepRecord(
                _text(row["step"]),
                _text(row["status"]),
                0.0,
                _mapping(row["parameters"]),
                _mapping(row["references"]),
                _text(row["reason"]),
                _mapping(row["measured"]) if numbers else {},
            )
            for row in np.asarray(table)
        )
    except (KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _mapping(value: Any) -> dict[str, Any]:
    """Parameters or references of a step, which are kept as JSON."""
    content = json.loads(_text(value))
    if not isinstance(content, dict):
        raise TypeError(f"{type(content).__name__} in place of names and values")
    return content


def _ascii(text: str) -> bytes:
    """Text as FITS can hold it, other characters escaped (FITS standard 4.0, section 4.2.1)."""
    return text.replace("\\", "\\\\").encode("ascii", "backslashreplace")


def _text(value: Any) -> str:
    """Undo :func:`_ascii`."""
    plain = value if isinstance(value, bytes) else str(value).encode("ascii")
    return plain.decode("unicode_escape")
