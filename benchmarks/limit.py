"""The limit: read the raw bytes and write the products, nothing else.

``python -m benchmarks.limit {detector1,image2} OUTPUT FILE...``: for detector1 every raw sample is read and a rate
product of zeros is written; for image2 every rate product is read and a cal product of its arrays is written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mirific import io
from mirific.exposure import FlagProvenance, Image, Ramp


def _blank(shape: tuple[int, ...], ramp: Ramp) -> Image:
    data, err, var_poisson, var_rnoise = (np.zeros(shape, np.float32) for _ in range(4))
    dq = np.zeros(shape, np.uint32)
    return Image(data, err, dq, var_poisson, var_rnoise, ramp.meta, FlagProvenance((shape[-2], shape[-1])))


def _detector1(path: Path, output: Path) -> None:
    ramp = io.read_ramp(path)
    nints, _, ny, nx = ramp.shape
    for y in range(0, ny, 32):
        ramp.raw.band(y, min(y + 32, ny))
    root = io.Name.parse(path)
    io.write(_blank((ny, nx), ramp), output / root.with_suffix("rate").file)
    io.write(_blank((nints, ny, nx), ramp), output / root.with_suffix("rateints").file)


def _image2(path: Path, output: Path) -> None:
    io.write(io.read_image(path), output / io.Name.parse(path).with_suffix("cal").file)


def main() -> None:
    """Run the limit of a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("detector1", "image2"))
    parser.add_argument("output", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    for path in given.files:
        (_detector1 if given.stage == "detector1" else _image2)(path, given.output)


if __name__ == "__main__":
    main()
