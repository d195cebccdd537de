"""Associations of a programme, as the ``jwst`` association generator would write them."""

from __future__ import annotations

from typing import Any

from mirific.io.ownership import generator
from mirific.simulate.exposures import PlannedExposure
from mirific.simulate.programme import Programme

__all__ = ["image2_association", "image3_association", "product_name"]


def product_name(programme: Programme, filter_name: str) -> str:
    """Root of the mosaic of a filter: ``jw01234-o001_t001_miri_f1000w``."""
    return f"jw{programme.program:05d}-o{programme.observation:03d}_t001_miri_{filter_name.lower()}"


def _common(programme: Programme, kind: str, rule: str) -> dict[str, Any]:
    return {
        "asn_type": kind,
        "asn_rule": rule,
        "version_id": None,
        "code_version": generator(),
        "degraded_status": "No known degraded exposures in association.",
        "program": f"{programme.program:05d}",
        "constraints": "No constraints",
        "asn_id": f"o{programme.observation:03d}",
        "asn_pool": "none",
        "target": "1",
    }


def _members(exposures: tuple[PlannedExposure, ...], suffix: str) -> list[dict[str, str]]:
    return [
        {"expname": f"{exposure.root}_{suffix}.fits", "exptype": "science", "exposerr": "null"}
        for exposure in exposures
    ]


def image2_association(programme: Programme, exposures: tuple[PlannedExposure, ...]) -> dict[str, Any]:
    """Association for ``calwebb_image2``: one product for each exposure."""
    products = [{"name": exposure.root, "members": _members((exposure,), "rate")} for exposure in exposures]
    return {**_common(programme, "image2", "Asn_Lv2Image"), "products": products}


def image3_association(programme: Programme, exposures: tuple[PlannedExposure, ...]) -> dict[str, Any]:
    """Association for ``calwebb_image3``: one mosaic of exposures in the same filter."""
    name = product_name(programme, exposures[0].filter_name)
    products = [{"name": name, "members": _members(exposures, "cal")}]
    return {**_common(programme, "image3", "Asn_Lv3Image"), "products": products}
