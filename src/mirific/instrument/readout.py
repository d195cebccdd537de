"""Readout patterns and timing.

Clocks: ``jwst: jwst/emicorr/emicorr.py`` and JDox "MIRI Detector Readout Overview". The pixel clock has 10 µs;
the four amplifiers read four neighbouring columns at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirific.instrument.subarrays import SUBARRAYS, Subarray

__all__ = ["CLOCK", "READOUT_PATTERNS", "ReadoutPattern", "exposure_time", "frame_time", "pixel_clocks"]

#: Period of the pixel clock, s.
CLOCK = 1e-5

#: Number of amplifiers, interleaved by column (``jwst: jwst/refpix/reference_pixels.py``).
AMPLIFIERS = 4

#: Clocks of a FULL frame and of one of its rows in SLOWR1 (``jwst: jwst/emicorr/emicorr.py``).
SLOWR1_FRAME_CLOCKS = 2388992
SLOWR1_ROW_CLOCKS = 2333


@dataclass(frozen=True)
class ReadoutPattern:
    """How a pixel is sampled.

    Parameters
    ----------
    name : str
        As in the READPATT keyword.
    samples : int
        Samples of a pixel in a frame; of the nine of SLOWR1 the first is dropped and eight are averaged
        (JDox "MIRI Detector Readout Slow").
    nframes, groupgap : int
        Frames averaged into a group and dropped between groups; 1 and 0 in both patterns.
    reset_frames : int
        Extra frames between integrations, spent on a reset.
    """

    name: str
    samples: int
    nframes: int = 1
    groupgap: int = 0
    reset_frames: int = 1


READOUT_PATTERNS: Mapping[str, ReadoutPattern] = {
    "FASTR1": ReadoutPattern("FASTR1", 1),
    "SLOWR1": ReadoutPattern("SLOWR1", 9),
    "FAST": ReadoutPattern("FAST", 1, reset_frames=0),
}


def _subarray(subarray: str | Subarray) -> Subarray:
    return SUBARRAYS[subarray] if isinstance(subarray, str) else subarray


def frame_time(readpatt: str, subarray: str | Subarray) -> float:
    """Time of one frame, s; it is the time of a group, too, as nframes is 1.

    Raises
    ------
    ValueError
        For a pattern that is unknown, or SLOWR1 in a subarray, which the instrument does not offer.

    Examples
    --------
    >>> frame_time("FASTR1", "FULL"), frame_time("FASTR1", "SUB64")
    (2.77504, 0.08512)
    """
    array = _subarray(subarray)
    if readpatt not in READOUT_PATTERNS:
        raise ValueError(f"unknown readout pattern {readpatt!r}; known: {', '.join(READOUT_PATTERNS)}")
    if readpatt == "SLOWR1":
        if array.name != "FULL":
            raise ValueError(f"SLOWR1 is offered in FULL only, not in {array.name}")
        return round(SLOWR1_FRAME_CLOCKS * CLOCK, 8)
    return round(array.frame_clocks * CLOCK, 8)


def exposure_time(readpatt: str, subarray: str | Subarray, ngroups: int, nints: int) -> float:
    """Time of an exposure without overheads, s: ``ngroups nints + reset frames (nints - 1)`` frames (JDox)."""
    frames = ngroups * nints + READOUT_PATTERNS[readpatt].reset_frames * (nints - 1)
    return frames * frame_time(readpatt, subarray)


def pixel_clocks(readpatt: str, subarray: str | Subarray) -> NDArray[np.int64]:
    """Clocks (10 µs) from the start of a frame to the reading of each pixel, shape (nrows, ncols).

    Formula: ``row * row_clocks + column // 4 * samples`` (``jwst: jwst/emicorr/emicorr.py``).
    """
    array = _subarray(subarray)
    row_clocks = SLOWR1_ROW_CLOCKS if readpatt == "SLOWR1" else array.row_clocks
    rows = np.arange(array.nrows, dtype=np.int64)[:, None] * row_clocks
    columns = np.arange(array.ncols, dtype=np.int64)[None, :] // AMPLIFIERS * READOUT_PATTERNS[readpatt].samples
    return rows + columns
