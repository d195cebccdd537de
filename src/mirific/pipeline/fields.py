"""Which exposures of a run touch each other on the sky, whatever their filters."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirific import io
from mirific.errors import InputError
from mirific.exposure import FlagProvenance, Image, Metadata

__all__ = ["touching"]

#: Exposures whose reference points are closer than this are of one field: the diagonal of the imager with the Lyot.
_REACH = 2.4 / 60


def touching(images: Mapping[str, Path], members: Sequence[str]) -> tuple[Image, ...]:
    """Exposures of a run that form one field with some of them, so that all mosaics of the field can share a grid.

    Parameters
    ----------
    images : mapping
        Root of each exposure to its cal file.
    members : sequence of str
        Roots of those of which the field is wanted.

    Returns
    -------
    tuple of Image
        In the order of their roots, the same for all mosaics of the field. The first is whole, the others are their
        metadata. Those that cannot be read are left to the mosaics that they belong to.
    """
    found = {root: meta for root in sorted(images) if (meta := _placed(images[root])) is not None}
    roots, metas = list(found), list(found.values())
    label = _connected(np.array([[float(m["wcsinfo.ra_ref"]), float(m["wcsinfo.dec_ref"])] for m in metas]))
    own = {label[roots.index(root)] for root in members}
    chosen = [k for k in range(len(roots)) if label[k] in own]
    for place, k in enumerate(chosen):
        with contextlib.suppress(InputError):
            return (io.read_image(images[roots[k]]), *(_bare(metas[k]) for k in chosen[place + 1 :]))
    raise InputError("no exposure of the field can be read", where=", ".join(members), todo="give others")


def _placed(path: Path) -> Metadata | None:
    """Metadata of an exposure that says where on the sky it is; None of another one."""
    with contextlib.suppress(InputError):
        meta = io.read_metadata(path)
        return meta if {"wcsinfo.ra_ref", "wcsinfo.dec_ref"} <= set(meta) else None
    return None


def _connected(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number the places (right ascension and declination, degrees) by what chains of short distances connect."""
    ra, dec = np.radians(places).T
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    near = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) < np.radians(_REACH)
    label = np.arange(len(places))
    while True:
        lower = np.where(near, label[None, :], len(places)).min(axis=1)
        if (lower == label).all():
            return label
        label = lower


def _bare(meta: Metadata) -> Image:
    """An image without pixels."""
    nothing = np.empty((0, 0), dtype=np.float32)
    return Image(nothing, nothing, nothing.astype(np.uint32), nothing, nothing, meta, FlagProvenance((0, 0)))
