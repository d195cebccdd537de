"""mirific: JWST MIRI imaging from raw ramps to a mosaic, with known issues handled on the way.

The map of the package, in the order in which data flow:

================  ==============================================================================
``io``            JWST products and associations in and out
``references``    calibration files: the CRDS client, the builder of the demo cache
``detector1``     raw ramps to count rates, streamed in bands of rows
``image2``        count rates to calibrated images
``image3``        calibrated images to a mosaic and a catalogue
``issues``        the known issues: find, show, mitigate, verify
``report``        results as HTML, JSON and text
``simulate``      the way backwards: a programme of raw exposures with known truth
``pipeline``      where the stages are put together
``cli``           the ``mirific`` command
================  ==============================================================================

What flows is in ``exposure``, what works on it in ``step``, numbers of the instrument in ``instrument``, files as they
lie on disk in ``fits_files`` and ``asdf_files``. Exposures that wait on disk are in ``spool``; ``sorting_kernels`` is
what kernels of all stages sort by. How work is spread over cores, and kernels are loaded, is in ``execute``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mirific")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
