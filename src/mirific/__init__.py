"""mirific: JWST MIRI imaging from raw ramps to a mosaic, with known issues handled on the way.

The map of the package, in the order in which data flow:

================  ==============================================================================
``io``            JWST products and associations in and out
``references``    calibration files: the CRDS client, the builder of the demo cache
``detector1``     raw ramps to count rates, streamed in bands of rows
``image2``        count rates to calibrated images
``measure``       what is measured on images of the sky, for stage 3 and the known issues
``image3``        calibrated images to a mosaic and a catalogue
``issues``        the known issues: find, show, mitigate, verify
``report``        results as HTML, JSON and text
``simulate``      the way backwards: a programme of raw exposures with known truth
``pipeline``      where the stages are put together
``cli``           the ``mirific`` command
================  ==============================================================================

What flows is in ``exposure``, what works on it in ``step`` and, for sets of images, ``set_step``; numbers of the
instrument are in ``instrument``, files as they lie on disk in ``fits_files`` and ``asdf_files``. What waits on disk is
in ``scratch``, exposures among it in ``spool``; loops that several rooms share are in ``kernels``, what only equals
``jwst`` is in ``parity``. How work is spread over cores, and kernels are loaded, is in ``execute``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.detector1 import Detector1
    from mirific.image2 import Image2
    from mirific.image3 import Image3
    from mirific.io import read, write
    from mirific.issues import diagnose

__all__ = ["Detector1", "Image2", "Image3", "__version__", "diagnose", "read", "write"]

_ROOM_OF = {
    "Detector1": "detector1",
    "Image2": "image2",
    "Image3": "image3",
    "diagnose": "issues",
    "read": "io",
    "write": "io",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mirific")
    if name in _ROOM_OF:
        return getattr(import_module(f"mirific.{_ROOM_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
