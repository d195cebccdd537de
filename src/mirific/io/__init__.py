"""Products and associations of JWST to and from what flows; the only place that touches science files.

=====================  ==========================================================================
:func:`read`           a product of any level
:func:`read_ramp`      ``_uncal``: opened, its pixels left on disk
:func:`read_image`     ``_rate``, ``_rateints``, ``_cal``, ``_crf``
:func:`read_mosaic`    ``_i2d``
:func:`read_metadata`  the metadata of any of them, without its pixels
:func:`write`          whatever flows, whole or not at all
:func:`to_model`       an exposure as a ``stdatamodels`` model, and :func:`from_model` back
=====================  ==========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirific.io.associations import Association, read_association
    from mirific.io.models import from_model, to_model
    from mirific.io.names import Name
    from mirific.io.products import (
        read,
        read_image,
        read_metadata,
        read_mosaic,
        read_ramp,
        write,
        write_segmentation,
    )

_HOMES = {
    "Association": "associations",
    "read_association": "associations",
    "from_model": "models",
    "to_model": "models",
    "Name": "names",
    "read": "products",
    "read_image": "products",
    "read_metadata": "products",
    "read_mosaic": "products",
    "read_ramp": "products",
    "write": "products",
    "write_segmentation": "products",
}

__all__ = [
    "Association",
    "Name",
    "from_model",
    "read",
    "read_association",
    "read_image",
    "read_metadata",
    "read_mosaic",
    "read_ramp",
    "to_model",
    "write",
    "write_segmentation",
]


def __getattr__(name: str) -> Any:
    """Load the modules on first use: the data-model library takes seconds to import."""
    if name in _HOMES:
        return getattr(import_module(f"mirific.io.{_HOMES[name]}"), name)
    raise AttributeError(name)
