"""Raw ramps to count rates, streamed in bands of rows.

=======================  ==================================================================================
``group_scale``          undo an on-board division
``dq_init``              start the data quality from the mask
``emicorr``              subtract interference (subarrays)
``saturation``           flag saturated groups
``ipc``                  undo coupling between pixels (off)
``firstframe``           flag the first group (off)
``lastframe``            flag the last group
``reset``                subtract the reset anomaly
``linearity``            correct the loss of response
``rscd``                 flag the first groups
``dark_current``         subtract the dark
``refpix``               subtract the drift of the reference pixels (off)
``jump``                 find cosmic rays
``showers``              find cosmic-ray showers
``clean_flicker_noise``  subtract striping (off)
``persistence``          flag pixels after saturation (off)
``ramp_fit``             fit slopes
``gain_scale``           scale for a non-standard gain
=======================  ==================================================================================

:class:`Detector1` is the stage; ``engine`` streams, ``band`` is what the steps see.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.detector1.detector1 import STEPS, Detector1, Detector1Options

__all__ = ["STEPS", "Detector1", "Detector1Options"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.detector1"), name)
