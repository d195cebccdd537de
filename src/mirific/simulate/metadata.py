"""Headers: the metadata of an exposure as the observatory writes them, under the names of ``stdatamodels``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.instrument import siaf
from mirific.instrument.readout import READOUT_PATTERNS
from mirific.instrument.subarrays import SUBARRAYS
from mirific.io.ownership import software
from mirific.simulate.ephemeris import TDB_MINUS_UTC, light_travel_time, position, velocity
from mirific.simulate.exposures import PlannedExposure
from mirific.simulate.pointing import offset_position
from mirific.simulate.programme import Programme

__all__ = ["exposure_metadata", "integration_times"]

_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_SECONDS_PER_DAY = 86400.0
_LIGHT_KM_S = 299_792.458


def iso(mjd: float) -> str:
    """MJD as ``YYYY-MM-DDTHH:MM:SS.sss``."""
    moment = _MJD_ZERO + timedelta(days=mjd)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def exposure_metadata(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """All metadata of a raw exposure, by dotted names without the leading ``meta.``.

    They hold the assumed pointing: what the header says, not where the telescope was.
    """
    values = {
        **_identity(programme, exposure),
        **_visit(programme, exposure),
        **_instrument(exposure),
        **_exposure(exposure),
        **_times(programme, exposure),
        **_dither(programme, exposure),
        **_pointing(exposure),
        **_guide_star(programme, exposure),
    }
    for effect in programme.effects:
        values.update(effect.header(exposure))
    return values


def _identity(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """Programme, target and software."""
    return {
        "telescope": "JWST",
        "origin": "STSCI",
        "time_sys": "UTC",
        "time_unit": "s",
        "filename": f"{exposure.root}_uncal.fits",
        "date": iso(exposure.end),
        "prd_software_version": "PRDOPSSOC-075",
        "oss_software_version": "008.004.013.000",
        "data_processing_software_version": "mirific-simulation",
        "calibration_software_version": software(),
        "program.title": "Simulated programme",
        "program.pi_name": "mirific",
        "program.category": "CAL",
        "program.science_category": "Simulation",
        "target.proposer_name": "SIMULATED-FIELD",
        "target.catalog_name": "SIMULATED-FIELD",
        "target.type": "FIXED",
        "target.ra": programme.ra,
        "target.dec": programme.dec,
        "target.ra_uncertainty": 0.1,
        "target.dec_uncertainty": 0.1,
        "target.proper_motion_ra": 0.0,
        "target.proper_motion_dec": 0.0,
        "target.proposer_ra": programme.ra,
        "target.proposer_dec": programme.dec,
        "target.source_type_apt": "UNKNOWN",
    }


def _visit(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """Observation and visit."""
    group, exposure_number = exposure.root.split("_")[1:3]
    visit = f"{programme.program:05d}{programme.observation:03d}{exposure.visit:03d}"
    first = next(item for item in programme.exposures if item.visit == exposure.visit)
    return {
        "observation.date": iso(exposure.start)[:10],
        "observation.time": iso(exposure.start)[11:],
        "observation.date_beg": iso(exposure.start),
        "observation.date_end": iso(exposure.end),
        "observation.obs_id": f"V{visit}P00000000{group}",
        "observation.visit_id": visit,
        "observation.program_number": f"{programme.program:05d}",
        "observation.observation_number": f"{programme.observation:03d}",
        "observation.visit_number": f"{exposure.visit:03d}",
        "observation.visit_group": group[:2],
        "observation.sequence_id": group[2],
        "observation.activity_id": group[3:],
        "observation.exposure_number": str(int(exposure_number)),
        "observation.bkgdtarg": False,
        "observation.template": "MIRI Imaging",
        "observation.observation_label": "Simulation",
        "observation.observation_folder": "Simulation",
        "visit.engineering_quality": "OK",
        "visit.engdb_pointing_quality": "CALCULATED_TRACK_TR_202111",
        "visit.type": "PRIME_TARGETED_FIXED",
        "visit.start_time": iso(first.start - 600.0 / _SECONDS_PER_DAY).replace("T", " "),
        "visit.status": "SUCCESSFUL",
        "visit.total_exposures": len(programme.filters) * programme.ndithers,
        "visit.internal_target": False,
        "visit.too_visit": False,
        "visit.tsovisit": False,
        "visit.exp_only": False,
        "visit.crowded_field": False,
    }


def _instrument(exposure: PlannedExposure) -> dict[str, Any]:
    """Instrument, detector and subarray."""
    array = SUBARRAYS[exposure.subarray]
    aperture = "MIRIM_ILLUM" if exposure.subarray == "FULL" else f"MIRIM_{exposure.subarray}"
    return {
        "instrument.name": "MIRI",
        "instrument.detector": "MIRIMAGE",
        "instrument.filter": exposure.filter_name,
        "instrument.miri_fpe_side": "A",
        "instrument.miri_ice_side": "A",
        "instrument.ccc_state": "OPEN",
        "instrument.lamp_state": "OFF",
        "instrument.lamp_mode": "NONE",
        "subarray.name": exposure.subarray,
        "subarray.xstart": array.colstart,
        "subarray.ystart": array.rowstart,
        "subarray.xsize": array.ncols,
        "subarray.ysize": array.nrows,
        "subarray.fastaxis": 1,
        "subarray.slowaxis": 2,
        "aperture.name": aperture,
        "aperture.pps_name": aperture,
        "aperture.position_angle": (exposure.assumed.roll_ref + siaf.V3_IDL_YANGLE) % 360.0,
    }


def _exposure(exposure: PlannedExposure) -> dict[str, Any]:
    """How the detector was read."""
    pattern = READOUT_PATTERNS[exposure.readpatt]
    integration = exposure.ngroups * exposure.frame_time
    total = integration * exposure.nints
    return {
        "exposure.count": exposure.number,
        "exposure.prime_parallel": "PRIME",
        "exposure.type": "MIR_IMAGE",
        "exposure.readpatt": exposure.readpatt,
        "exposure.noutputs": 1,
        "exposure.nints": exposure.nints,
        "exposure.integration_start": 1,
        "exposure.integration_end": exposure.nints,
        "exposure.ngroups": exposure.ngroups,
        "exposure.nframes": pattern.nframes,
        "exposure.groupgap": pattern.groupgap,
        "exposure.frame_divisor": 1,
        "exposure.drop_frames1": 0,
        "exposure.drop_frames3": 0,
        "exposure.nsamples": pattern.samples,
        "exposure.sample_time": 10.0,
        "exposure.frame_time": exposure.frame_time,
        "exposure.group_time": exposure.frame_time,
        "exposure.integration_time": integration,
        "exposure.exposure_time": total,
        "exposure.effective_exposure_time": total,
        "exposure.measurement_time": integration - exposure.frame_time,
        "exposure.duration": exposure.duration,
        "exposure.elapsed_exposure_time": exposure.duration,
        "exposure.nresets_at_start": 1,
        "exposure.nresets_between_ints": pattern.reset_frames,
        "exposure.zero_frame": False,
        "exposure.data_problem": False,
        "exposure.sca_num": 493,
        "exposure.datamode": 7,
    }


def _times(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """Times here and at the barycentre, and where the observatory is."""
    delay = light_travel_time(exposure.middle, programme.ra, programme.dec)
    barycentric = (delay + TDB_MINUS_UTC) / _SECONDS_PER_DAY
    here, speed = position(exposure.middle), velocity(exposure.middle)
    moments = {"start": exposure.start, "mid": exposure.middle, "end": exposure.end}
    values: dict[str, Any] = {}
    for name, moment in moments.items():
        values[f"exposure.{name}_time"] = values[f"exposure.{name}_time_mjd"] = moment
        values[f"exposure.{name}_time_tdb"] = values[f"time.barycentric_exp{name}"] = moment + barycentric
        values[f"time.heliocentric_exp{name}"] = moment + delay / _SECONDS_PER_DAY
    values |= {
        "time.barycentric_correction": barycentric * _SECONDS_PER_DAY,
        "time.heliocentric_correction": delay,
        "ephemeris.reference_frame": "EME2000",
        "ephemeris.type": "Predicted",
        "ephemeris.time": exposure.middle,
    }
    for axis, place, motion in zip("xyz", here, speed, strict=True):
        values[f"ephemeris.spatial_{axis}_bary"] = float(place)
        values[f"ephemeris.velocity_{axis}_bary"] = float(motion)
    return values


def _dither(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """Place in the dither pattern."""
    return {
        "dither.primary_type": programme.pattern,
        "dither.position_number": exposure.dither,
        "dither.pattern_start": 1,
        "dither.total_points": programme.ndithers,
        "dither.pattern_size": programme.pattern_size if programme.pattern == "CYCLING" else "DEFAULT",
        "dither.x_offset": exposure.offset[0],
        "dither.y_offset": exposure.offset[1],
        "dither.dithered_ra": exposure.assumed.ra_ref,
        "dither.dithered_dec": exposure.assumed.dec_ref,
    }


def _pointing(exposure: PlannedExposure) -> dict[str, Any]:
    """The pointing that the header claims."""
    assumed = exposure.assumed
    ra, dec, angle = assumed.boresight()
    return {
        "pointing.ra_v1": ra,
        "pointing.dec_v1": dec,
        "pointing.pa_v3": angle,
        "velocity_aberration.scale_factor": assumed.va_scale,
        "velocity_aberration.va_ra_ref": assumed.ra_ref,
        "velocity_aberration.va_dec_ref": assumed.dec_ref,
        "coordinates.reference_frame": "ICRS",
        "wcsinfo.wcsaxes": 2,
        "wcsinfo.ra_ref": assumed.ra_ref,
        "wcsinfo.dec_ref": assumed.dec_ref,
        "wcsinfo.roll_ref": assumed.roll_ref,
        "wcsinfo.v2_ref": assumed.v2_ref,
        "wcsinfo.v3_ref": assumed.v3_ref,
        "wcsinfo.v3yangle": siaf.V3_IDL_YANGLE,
        "wcsinfo.vparity": siaf.VPARITY,
        "wcsinfo.velosys": -1000.0 * _LIGHT_KM_S * (assumed.va_scale - 1.0),
    }


def _guide_star(programme: Programme, exposure: PlannedExposure) -> dict[str, Any]:
    """The guide star: one for each visit."""
    generator = np.random.default_rng([programme.seed, exposure.visit, 5])
    east, north = generator.uniform(-300.0, 300.0, 2)
    ra, dec = offset_position(programme.ra, programme.dec, float(east), float(north))
    return {
        "guidestar.gs_order": 1,
        "guidestar.gs_id": f"S1RC{generator.integers(1, 10**6):06d}",
        "guidestar.gs_ra": ra,
        "guidestar.gs_dec": dec,
        "guidestar.gs_ura": 1e-4,
        "guidestar.gs_udec": 1e-4,
        "guidestar.gs_mag": float(generator.uniform(13.0, 17.0)),
        "guidestar.gs_umag": 0.02,
        "guidestar.gs_v3_pa_science": exposure.assumed.boresight()[2],
        "guidestar.gs_pcs_mode": "FINEGUIDE",
        "guidestar.visit_end_time": iso(exposure.end + 600.0 / _SECONDS_PER_DAY).replace("T", " "),
    }


def integration_times(programme: Programme, exposure: PlannedExposure) -> NDArray[np.void]:
    """Table of the INT_TIMES extension: start, middle and end of each integration, MJD (UTC) and at the barycentre."""
    names = ["integration_number"] + [
        f"int_{moment}_{scale}" for scale in ("MJD_UTC", "BJD_TDB") for moment in ("start", "mid", "end")
    ]
    table = np.zeros(exposure.nints, dtype=[(names[0], "i4")] + [(name, "f8") for name in names[1:]])
    frames = READOUT_PATTERNS[exposure.readpatt].reset_frames + exposure.ngroups
    delay = light_travel_time(exposure.middle, programme.ra, programme.dec) + TDB_MINUS_UTC
    for k in range(exposure.nints):
        start = exposure.start + k * frames * exposure.frame_time / _SECONDS_PER_DAY
        length = exposure.ngroups * exposure.frame_time / _SECONDS_PER_DAY
        here = (start, start + length / 2.0, start + length)
        table[k] = (k + 1, *here, *(moment + delay / _SECONDS_PER_DAY for moment in here))
    return table
