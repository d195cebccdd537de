"""Known issues, injected: one file per issue, under its slug with underscores; and what else disturbs the detector.

An :class:`~mirific.simulate.effects.base.Effect` is a frozen dataclass of amplitudes. It says where it physically acts:
on the pointing, the header, the light, the response, the charge, or its course in time; the simulator does the rest,
and derives the truth image from the same contribution. Effects of zero amplitude leave every byte as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mirific.errors import ParameterError

if TYPE_CHECKING:
    from mirific.simulate.effects.base import Effect

__all__ = ["EFFECTS", "effect_class", "make_effect"]

#: Slug of the issue to the class that injects it.
EFFECTS: Mapping[str, str] = {
    "bad_pixels": "SpoiledPixels",
    "edge_brightening": "EdgeBrightening",
    "fgs_offset": "FgsOffset",
    "interference": "Interference",
    "knife_edge": "KnifeEdge",
    "lyot_offset": "LyotOffset",
    "outlier_overflagging": "OutlierOverflagging",
    "persistence": "Afterglow",
    "residual_background": "ResidualBackground",
    "scar": "Scar",
    "showers": "ShowerEvents",
    "throughput_loss": "ThroughputLoss",
    "tile_misalignment": "TileMisalignment",
    "tree_rings": "TreeRings",
}


def effect_class(slug: str) -> type[Effect]:
    """Return the class that injects an issue; hyphens and underscores are the same.

    Raises
    ------
    ParameterError
        If there is no such issue.
    """
    name = slug.replace("-", "_")
    if name not in EFFECTS:
        raise ParameterError(f"unknown effect {slug!r}", where="effects", todo=f"choose of {', '.join(EFFECTS)}")
    found: type[Effect] = getattr(import_module(f"mirific.simulate.effects.{name}"), EFFECTS[name])
    return found


def make_effect(slug: str, parameters: Mapping[str, Any] | None = None) -> Effect:
    """Make an effect from the slug of its issue and some of its parameters.

    Raises
    ------
    ParameterError
        If the issue or a parameter is unknown.
    """
    kind = effect_class(slug)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in (parameters or {}).items()}
    unknown = [name for name in values if name not in kind.__dataclass_fields__]
    if unknown:
        known = ", ".join(kind.__dataclass_fields__)
        raise ParameterError(f"unknown parameter {unknown[0]!r}", where=slug, todo=f"the parameters are: {known}")
    return kind(**values)
