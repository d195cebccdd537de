"""What a user can ask for, as it is asked for on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from mirific import io
from mirific.cli import main
from mirific.image3 import OutlierDetection, Resample, ResampleSingle, SkyMatch
from mirific.issues import SLUGS
from mirific.pipeline.settings import Settings
from mirific.pipeline.steps import StepsByName
from mirific.references import FixedReferences
from tests.test_exposure import make_image

ASKED = {
    "resample.output_wcs=grid.asdf": (Resample, "grid.asdf"),
    "resample.pixel_scale=0.06": (Resample, 0.06),
    "resample.pixel_scale_ratio=0.5": (Resample, 0.5),
    "resample.rotation=20": (Resample, 20.0),
    "resample.crpix=100 75": (Resample, "100 75"),
    "resample.crval=83.8 -5.4": (Resample, "83.8 -5.4"),
    "resample.output_shape=320 350": (Resample, "320 350"),
    "resample.pixfrac=0.7": (Resample, 0.7),
    "resample.kernel=lanczos3": (Resample, "lanczos3"),
    "resample.weight_type=exptime": (Resample, "exptime"),
    "resample.fillval=-1": (Resample, "-1"),
    "resample.enable_ctx=false": (Resample, False),
    "resample.enable_err=false": (Resample, False),
    "resample.report_var=false": (Resample, False),
    "resample.propagate_dq=true": (Resample, True),
    "resample.common_grid=true": (Resample, True),
    "resample_single.skip=false": (ResampleSingle, False),
    "outlier_detection.resample_data=false": (OutlierDetection, False),
    "outlier_detection.kernel=turbo": (OutlierDetection, "turbo"),
    "outlier_detection.save_intermediate_results=true": (OutlierDetection, True),
    "skymatch.skymethod=global": (SkyMatch, "global"),
    "skymatch.subtract=true": (SkyMatch, True),
}


@pytest.mark.parametrize("assignment", ASKED)
def test_parameters_are_reached_by_name(assignment):
    step, value = ASKED[assignment]
    settings = Settings().with_assignments([assignment])
    settings.check(StepsByName(), SLUGS)
    found = settings.configure(step(), make_image().meta, FixedReferences({}))
    assert getattr(found, assignment.partition("=")[0].partition(".")[2]) == value


@pytest.mark.parametrize("name", ["output_wcs", "pixfrac", "kernel"])
def test_parameters_of_crds_are_heeded_too(name):
    values = {"output_wcs": "grid.asdf", "pixfrac": 0.5, "kernel": "point"}
    held = FixedReferences({}, {"resample": {name: values[name]}})
    assert getattr(Settings().configure(Resample(), make_image().meta, held), name) == values[name]


def test_parameter_files_as_the_observatory_writes_them_are_heeded():
    """They hold every parameter, with lists where ours are texts, and null where nothing is asked for."""
    told = {"crpix": None, "crval": [83.8, -5.4], "output_shape": [320, 350], "rotation": None, "single": False}
    found = Settings().configure(Resample(), make_image().meta, FixedReferences({}, {"resample": told}))
    assert (found.crpix, found.crval, found.output_shape, found.rotation) == ("", "83.8 -5.4", "320 350", None)


def test_official_parameter_files_of_every_step_are_taken(tmp_path):
    """What the official steps would write with their defaults (``strun --save-parameters``) suits ours."""
    from jwst.pipeline import Detector1Pipeline, Image2Pipeline, Image3Pipeline

    ours = StepsByName()
    kinds = [Detector1Pipeline, Image2Pipeline, Image3Pipeline]
    taken = 0
    for name, official in ((name, kind) for pipeline in kinds for name, kind in pipeline.step_defs.items()):
        if name in ours:
            held = FixedReferences({}, {name: dict(official().get_pars())})
            Settings().configure(ours[name](), make_image().meta, held)
            taken += 1
    assert taken > 20


@pytest.fixture(scope="module")
def rates(raw, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    assert main(["run", str(raw), "-o", str(folder), "--to", "rate", "--references", str(cache), "-q"]) == 0
    return sorted(folder.glob("*_rate.fits"))


def test_backgrounds_of_an_association_are_subtracted(rates, cache, tmp_path):
    """With their errors; only what has no background is flagged."""
    (tmp_path / "in").mkdir()
    for path in rates[:3]:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    members = [{"expname": rates[0].name, "exptype": "science"}]
    members += [{"expname": path.name, "exptype": "background"} for path in rates[1:3]]
    tree = {"asn_type": "image2", "asn_rule": "Asn_Lv2Image", "asn_pool": "none", "program": "1234", "asn_id": "a3001"}
    tree["products"] = [{"name": rates[0].name.removesuffix("_rate.fits"), "members": members}]
    (tmp_path / "in" / "image2_asn.json").write_text(json.dumps(tree))
    options = ["--to", "cal", "--references", str(cache), "-q"]
    assert main(["run", str(tmp_path / "in" / "image2_asn.json"), "-o", str(tmp_path / "out"), *options]) == 0
    assert main(["run", str(rates[0]), "-o", str(tmp_path / "plain"), *options]) == 0
    name = rates[0].name.replace("_rate", "_cal")
    subtracted, plain = io.read_image(tmp_path / "out" / name), io.read_image(tmp_path / "plain" / name)
    assert subtracted.meta["cal_step.bkg_subtract"] == "COMPLETE"
    assert abs(np.nanmedian(subtracted.data)) < 0.02 * np.nanmedian(plain.data)
    known = subtracted.good() & plain.good()
    assert known.sum() > 0.98 * plain.good().sum()
    assert np.median(subtracted.err[known] / plain.err[known]) == pytest.approx(np.sqrt(1.5), rel=0.05)


def test_what_the_user_sets_holds_for_backgrounds_too(rates, cache, tmp_path, monkeypatch):
    """Both exposures get the filter that is set; each file is read once."""
    science, sky = (tmp_path / path.name for path in rates[:2])
    for path in rates[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fits.setval(sky, "FILTER", value="F560W")
    members = [{"expname": science.name, "exptype": "science"}, {"expname": sky.name, "exptype": "background"}]
    tree = {"asn_type": "image2", "products": [{"name": "mine", "members": members}]}
    (tmp_path / "a_asn.json").write_text(json.dumps(tree))
    read: list[str] = []

    def counted(path, *rest):
        read.append(path.name)
        return read_image(path, *rest)

    read_image = io.read_image
    monkeypatch.setattr(io, "read_image", counted)
    options = ["--to", "cal", "--references", str(cache), "-q", "--workers", "1"]
    options += ["--set", f"meta.instrument.filter={fits.getval(science, 'FILTER')}"]
    assert main(["run", str(tmp_path / "a_asn.json"), "-o", str(tmp_path / "out"), *options]) == 0
    assert sorted(read) == sorted([science.name, sky.name, sky.name])  # as background, and as an exposure
    assert read_image(tmp_path / "out" / "mine_cal.fits").meta["cal_step.bkg_subtract"] == "COMPLETE"


def test_a_mosaic_on_the_grid_of_another_and_images_of_single_exposures(rates, cache, tmp_path):
    options = ["--references", str(cache), "-q", "--parity"]
    inputs = [str(path) for path in rates[:2]]
    assert main(["run", *inputs, "-o", str(tmp_path / "a"), *options, "--set", "resample.pixel_scale=0.13"]) == 0
    (first,) = (tmp_path / "a").glob("*_i2d.fits")
    chosen = [f"resample.output_wcs={first}", "resample.kernel=turbo", "resample_single.skip=false"]
    chosen += ["outlier_detection.save_intermediate_results=true"]
    sets = [word for item in chosen for word in ("--set", item)]
    assert main(["run", *inputs, "-o", str(tmp_path / "b"), *options, *sets]) == 0
    before, after = io.read_mosaic(first), io.read_mosaic(tmp_path / "b" / first.name)
    assert after.data.shape == before.data.shape
    assert after.meta["resample.kernel"] == "turbo"
    np.testing.assert_allclose(after.wcs(10, 20), before.wcs(10, 20), rtol=1e-12)
    assert len(list((tmp_path / "b").glob("*mirimage_i2d.fits"))) == len(inputs)
    made = [*(f"{path.stem}_{end}" for path in rates[:2] for end in ("outlier_i2d", "blot")), f"{rates[0].stem}_median"]
    for name in made:
        with datamodels.open(tmp_path / "b" / f"{name.replace('_rate', '')}.fits") as model:
            model.validate()
            assert model.meta.wcs is not None
            assert np.isfinite(model.data).mean() > 0.5


def test_a_moving_target_is_followed_and_its_stars_are_not(rates, cache, tmp_path):
    told = ["target.type=MOVING", "wcsinfo.mt_ra=83.8", "wcsinfo.mt_dec=-5.4"]
    sets = [word for item in told for word in ("--set", f"meta.{item}")]
    inputs = [str(path) for path in rates[:2]]
    assert main(["run", *inputs, "-o", str(tmp_path), "--references", str(cache), "-q", "--parity", *sets]) == 0
    (mosaic,) = (io.read_mosaic(path) for path in tmp_path.glob("*_i2d.fits"))
    steps = {record.step: record.status for record in mosaic.history}
    assert (steps["assign_mtwcs"], steps["tweakreg"]) == ("COMPLETE", "SKIPPED")
    assert io.read_image(next(tmp_path.glob("*_crf.fits"))).wcs.output_frame.name == "moving_target"
