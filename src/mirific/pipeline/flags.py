"""Who set which flag in an image, counted for the report."""

from __future__ import annotations

from mirific.exposure import DQ, Image
from mirific.report import FlagCount

__all__ = ["count_flags"]


def count_flags(image: Image) -> tuple[FlagCount, ...]:
    """Count the pixels that each step or issue flagged first, by DQ bit."""
    size = image.flags.shape[0] * image.flags.shape[1]
    names = {bit: name for name, bit in DQ.items()}
    counted = ((source, bit, image.flags.count(source, bit)) for source, bit in image.flags.entries)
    return tuple(FlagCount(image.name, source, names[bit], n, 100.0 * n / size) for source, bit, n in counted)
