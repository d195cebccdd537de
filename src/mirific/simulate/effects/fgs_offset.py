"""The boresight of MIRI against the guider as it was believed before PRDOPSSOC-071."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mirific.instrument import siaf
from mirific.simulate.effects.base import Effect

if TYPE_CHECKING:
    from mirific.simulate.exposures import PlannedExposure

__all__ = ["FgsOffset"]


@dataclass(frozen=True)
class FgsOffset(Effect):
    """The header has the old reference point: 0.030 arcsec off in V2, 0.143 arcsec in V3.

    Parameters
    ----------
    scale : float
        Multiple of that offset.
    """

    name: ClassVar[str] = "fgs_offset"

    scale: float = 1.0

    def header(self, exposure: PlannedExposure) -> Mapping[str, Any]:
        """Old V2_REF, V3_REF and the version of the database that they come from."""
        if self.scale == 0.0:
            return {}
        v2 = exposure.assumed.v2_ref + self.scale * (siaf.V2_REF_BEFORE_071 - siaf.V2_REF)
        v3 = exposure.assumed.v3_ref + self.scale * (siaf.V3_REF_BEFORE_071 - siaf.V3_REF)
        return {"wcsinfo.v2_ref": v2, "wcsinfo.v3_ref": v3, "prd_software_version": "PRDOPSSOC-070"}
