"""How exposures lie to each other on the sky, and what mends it.

From below: :mod:`.registration` (shift of two lists of stars), :mod:`.recognition` (of two short ones),
:mod:`.views_of_sky` and :mod:`.structure` (shift of two nebulae), :mod:`.measured_exposures` (what is measured once per
exposure), :mod:`.visits`, :mod:`.visit_comparison` (shifts between visits, and within them), :mod:`.shift_network` (one
shift for each from those of pairs), :mod:`.absolute_catalog` and :mod:`.absolute_ties` (visits and a catalogue), and
:mod:`.measurement` (the whole), which :class:`~mirific.image3.TweakReg` and the issues use.
The official way is in :mod:`mirific.parity.tweakreg`.
"""

from mirific.exposure import ImageSet

__all__ = ["GEOMETRIES", "why_not_aligned"]

#: What can be fitted between exposures, as ``jwst`` calls it.
GEOMETRIES = ("shift", "rshift", "rscale", "general")


def why_not_aligned(exposure: ImageSet, catalogue: str) -> str:
    """Why a set of images cannot be aligned, with this absolute catalogue or none (""); empty if it can."""
    if len(exposure.images) < 2 and not catalogue:
        return "at least two exposures or an absolute catalogue are needed"
    if any(image.meta.get("target.type") == "MOVING" for image in exposure.images):
        return "the target moves: the stars do not stay in its frame"
    return ""
