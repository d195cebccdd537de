"""The official pipeline on given files, stage by stage, in one process: the peer that we are measured against.

``python -m benchmarks.official {detector1,image2,image3,all} OUTPUT FILE...`` with CRDS_PATH and CRDS_CONTEXT set.
Parameters are those of CRDS, as operations use them (``.call``), plus ``--set step.param=value``.
"""

from __future__ import annotations

import argparse
import ast
import json
import logging
from pathlib import Path
from typing import Any


def _detector1(files: list[Path], output: Path, steps: dict[str, Any]) -> list[Path]:
    from jwst.pipeline import Detector1Pipeline

    for path in files:
        Detector1Pipeline.call(str(path), output_dir=str(output), save_results=True, steps=steps)
    return [output / path.name.replace("_uncal", "_rate") for path in files]


def _image2(files: list[Path], output: Path, steps: dict[str, Any]) -> list[Path]:
    from jwst.pipeline import Image2Pipeline

    steps = {"resample": {"skip": True}, **steps}
    for path in files:
        Image2Pipeline.call(str(path), output_dir=str(output), save_results=True, steps=steps)
    return [output / path.name.replace("_rate", "_cal") for path in files]


def _image3(files: list[Path], output: Path, steps: dict[str, Any]) -> list[Path]:
    from jwst.pipeline import Image3Pipeline

    members = [{"expname": str(path.resolve()), "exptype": "science"} for path in files]
    tree = {
        "asn_type": "image3",
        "asn_rule": "DMS_Level3_Base",
        "asn_id": "a3001",
        "asn_pool": "none",
        "program": "01040",
        "products": [{"name": "official", "members": members}],
    }
    association = output / "official_image3_asn.json"
    association.write_text(json.dumps(tree), encoding="utf-8")
    Image3Pipeline.call(str(association), output_dir=str(output), save_results=True, steps=steps)
    return [output / "official_i2d.fits"]


_STAGES = {
    "detector1": (_detector1,),
    "image2": (_image2,),
    "image3": (_image3,),
    "all": (_detector1, _image2, _image3),
}


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=_STAGES)
    parser.add_argument("output", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--set", action="append", default=[], help="step.param=value")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    given.output.mkdir(parents=True, exist_ok=True)
    steps: dict[str, dict[str, Any]] = {}
    for assignment in given.set:
        name, value = assignment.split("=")
        step, param = name.split(".")
        steps.setdefault(step, {})[param] = ast.literal_eval(value)
    files = given.files
    for stage in _STAGES[given.stage]:
        files = stage(files, given.output, steps if len(_STAGES[given.stage]) == 1 else {})


if __name__ == "__main__":
    main()
