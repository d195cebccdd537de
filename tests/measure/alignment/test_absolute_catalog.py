"""The absolute catalogue: from a file at the epoch of the exposures, and from the service that has Gaia."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, SphericalRepresentation, get_body_barycentric
from astropy.table import Table
from astropy.time import Time

from mirific.errors import ParameterError
from mirific.image2.assign_wcs import shift_pointing
from mirific.image3 import TweakReg
from mirific.measure.alignment.absolute_catalog import absolute_catalog
from mirific.parity.tweakreg import OfficialTweakReg
from tests.image3 import oracle, scenes

CENTRE = (128.0, 128.0)


class Service:
    """The catalogue service of STScI, for one field: a CSV table, or what it says where it has none."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.answer = "No data records"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                outer.asked.append({"path": path, **dict(urllib.parse.parse_qsl(query))})
                self.send_response(200)
                self.send_header("Content-Type", "text/csv")
                self.end_headers()
                self.wfile.write(outer.answer.encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def has(self, ra: Any, dec: Any) -> None:
        """Have these stars, brought to the epoch asked for, and two more that have no proper motion and stay behind."""
        rows = ["# GAIADR3", "objID,ra,dec,epoch,mag,pmra,pmdec"]
        rows += [
            f"{k},{a:.9f},{d:.9f},2023.0,{15 + k / 10},1.0,-2.0" for k, (a, d) in enumerate(zip(ra, dec, strict=True))
        ]
        rows += [f"{900 + k},{ra[k] + 3e-4:.9f},{dec[k]:.9f},2016.0,14.0,," for k in range(2)]
        self.answer = "\n".join(rows) + "\n"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """A service in place of the real one; the folder that the test runs in is empty."""
    found = Service()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr("stcal.tweakreg.astrometric_utils.SERVICELOCATION", found.url)
    monkeypatch.chdir(tmp_path)
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()
    assert not list(tmp_path.iterdir()), "a file was left behind"


@pytest.fixture(scope="module")
def misplaced() -> Any:
    """Two exposures off by half an arcsecond, and the truth."""
    truth = scenes.exposures(seed=9, dithers=scenes.DITHERS[:2])
    return truth.with_images(tuple(shift_pointing(image, 0.4, -0.3) for image in truth.images)), truth


def _stars() -> Any:
    field = scenes.make_field(np.random.default_rng(9), 60, "SUB256")
    return field.ra, field.dec


def test_gaia_by_name_places_the_exposures(service, misplaced, none):
    exposure, truth = misplaced
    service.has(*_stars())
    result = TweakReg(abs_refcat="gaiadr3").run(exposure, none)
    for image, true in zip(result.images, truth.images, strict=True):
        assert scenes.apart(image.wcs(*CENTRE), true.wcs(*CENTRE)) < 15
    (asked,) = service.asked
    assert (asked["path"], asked["CAT"], asked["FORMAT"]) == ("/vo/CatalogSearch.aspx", "GAIADR3", "CSV")
    ra, dec = truth.images[0].wcs(*CENTRE)
    centre = SkyCoord(float(asked["RA"]), float(asked["DEC"]), unit="deg")
    assert centre.separation(SkyCoord(ra, dec, unit="deg")).arcsec < 5
    assert 15 / 3600 < float(asked["SR"]) < 40 / 3600
    assert float(asked["EPOCH"]) == Time(truth.images[0].meta["observation.date"]).decimalyear


@pytest.mark.oracle
@pytest.mark.parametrize(("minobj", "aligned"), [(8, True), (100, False)])
def test_coordinates_are_those_of_jwst(service, misplaced, none, minobj, aligned):
    """Too few stars in the catalogue leave all exposures as they are, aligned with each other or not."""
    exposure, _ = misplaced
    service.has(*_stars())
    step = OfficialTweakReg(abs_refcat="GAIADR3", abs_minobj=minobj)
    ours, theirs = step.run(exposure, none).images, oracle.tweaked(exposure.images, step)
    for mine, other in zip(ours, theirs, strict=True):
        assert scenes.apart(mine.wcs(*CENTRE), other.wcs(*CENTRE)) < 1e-3
        assert [image.meta["cal_step.tweakreg"] == "COMPLETE" for image in (mine, other)] == [aligned] * 2
    assert (scenes.apart(ours[0].wcs(*CENTRE), exposure.images[0].wcs(*CENTRE)) > 100) == aligned


def test_a_field_without_stars_is_told(service, misplaced, none):
    with pytest.raises(ParameterError, match="no star there"):
        TweakReg(abs_refcat="GAIADR3").run(misplaced[0], none)


def test_a_service_out_of_reach_is_told(service, misplaced, none, monkeypatch):
    monkeypatch.setattr("stcal.tweakreg.astrometric_utils.SERVICELOCATION", "http://127.0.0.1:9")
    with pytest.raises(ParameterError, match="not in reach"):
        TweakReg(abs_refcat="GAIADR3").run(misplaced[0], none)


def test_a_name_that_nobody_knows_is_not_asked_for(service, misplaced, none):
    with pytest.raises(ParameterError, match="neither a file nor a catalogue"):
        TweakReg(abs_refcat="stars.ecsv").run(misplaced[0], none)
    assert not service.asked


def test_near_stars_are_where_their_parallax_puts_them(misplaced, tmp_path):
    """As astropy computes it from the distance, seen from the centre of the Earth."""
    images = misplaced[1].images
    day = Time(images[0].meta["observation.date"])
    ra, dec = np.array([10.0, 200.0, 83.8, 300.0]), np.array([40.0, -65.0, -5.4, 0.0])
    parallax = np.array([700.0, 50.0, 20.0, 0.001])
    table = Table({"ra": ra, "dec": dec, "parallax": parallax, "ref_epoch": np.full(4, day.decimalyear)})
    table.write(tmp_path / "near.ecsv")
    found = absolute_catalog(str(tmp_path / "near.ecsv"), images)
    stars = SkyCoord(ra * u.deg, dec * u.deg, distance=(1e3 / parallax) * u.pc).cartesian
    seen = (stars - get_body_barycentric("earth", day)).represent_as(SphericalRepresentation)
    expected = SkyCoord(seen.lon, seen.lat)
    apart = SkyCoord(found.ra, found.dec, unit="deg").separation(expected).mas
    moved = SkyCoord(ra, dec, unit="deg").separation(expected).mas
    assert moved.max() > 400
    assert apart.max() < 0.01
