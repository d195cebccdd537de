"""``mirific diagnose``: look for the known issues, touch nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mirific import io
from mirific.cli.options import progress
from mirific.errors import InputError, NotMiriImaging, ParameterError
from mirific.exposure import Image, Mosaic, Ramp
from mirific.io.names import SUFFIXES
from mirific.io.products import write_json, write_text
from mirific.io.protection import check_replaced
from mirific.io.requirements import check_size
from mirific.issues import ISSUES, Finding, diagnose
from mirific.issues.observation import Observation, observations
from mirific.pipeline.summary import KINDS

__all__ = ["run_diagnose"]

log = logging.getLogger(__name__)

#: Products that are looked at, or say themselves that they cannot be; others are known, and left out.
_LEVELS = {"uncal", "rate", "rateints", "ratefix", "cal", "calints", "crf", "i2d"}
_BESIDE = tuple(f"_{name}" for name in sorted({*KINDS, *SUFFIXES} - _LEVELS | {"outlier_i2d"}))

#: Data models that images come in; one that has passed through other software may not say.
_IMAGES = {None, "", "ImageModel", "CubeModel"}


@dataclass
class _Inputs:
    """What there is to look at: exposures, what was left out by reason, and what could not be read."""

    exposures: list[Image | Mosaic] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    refused: list[InputError] = field(default_factory=list)

    def leave_out(self, path: Path, reason: str) -> None:
        """Note a file that is not looked at, for a reason that others may have, too."""
        self.left_out.setdefault(reason, []).append(path.name)


def run_diagnose(files: list[Path], json_file: Path | None, html_file: Path | None, *, quiet: bool) -> int:
    """Diagnose products; exit code 1 findings, 0 nothing found, 2 nothing, or not all, could be looked at."""
    from mirific import report

    paths: dict[Path, bool] = {}
    for path, named in _expanded(files):
        paths.setdefault(path, named)
    _check_outputs({"--json": json_file, "--html": html_file}, paths)
    inputs = _read(paths, quiet=quiet)
    for reason, names in inputs.left_out.items():
        log.warning("%s left out: %s", _named(names), reason)
    if not inputs.exposures:
        raise inputs.refused[0] if inputs.refused else _nothing(files)
    findings = diagnose(inputs.exposures)
    results = report.Results(findings=findings, inputs=tuple(map(_name, inputs.exposures)))
    if json_file is not None:
        write_json(report.as_json(results), json_file)
    if html_file is not None:
        write_text(report.as_html(results), html_file)
    if not quiet:
        report.print_text(results)
    for error in inputs.refused:
        log.error("%s", error)
    return _exit_code(findings, inputs)


def _exit_code(findings: Sequence[Finding], inputs: _Inputs) -> int:
    """A finding is one whatever else could not be looked at; that nothing is there takes a look at everything."""
    if any(finding.present for finding in findings):
        return 1
    if all(finding.present is None for finding in findings):
        _tell_blindness(findings, observations(inputs.exposures))
        return 2
    return 2 if inputs.refused else 0


def _tell_blindness(findings: Sequence[Finding], groups: Sequence[Observation]) -> None:
    """Say in a line why none of the issues could be looked for."""
    looked_for = {issue.slug for issue in ISSUES if issue.looks}
    wanted = dict.fromkeys(level for issue in ISSUES for level in issue.looks)
    levels = dict.fromkeys(group.level for group in groups)
    if not set(levels) & set(wanted):
        kinds, better = (", ".join(f"_{level}" for level in names) for names in (levels, wanted))
        reason = f"no issue is looked for in {kinds} products yet; give {better} files"
    else:
        reasons = dict.fromkeys(f"{item.issue}: {item.reason}" for item in findings if item.issue in looked_for)
        reason = "; ".join(list(reasons)[:5])
    log.error("nothing could be looked for in %s: %s", _named([group.label for group in groups]), reason)


def _named(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _name(exposure: Image | Mosaic) -> str:
    return str(exposure.meta.get("filename", "image"))


def _nothing(files: Iterable[Path]) -> InputError:
    return InputError("nothing to look at", where=", ".join(map(str, files)), todo="give _rate, _cal or _crf files")


def _expanded(files: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Files to look at, each once, and whether the user named it; folders are searched to any depth."""
    for path in files:
        if not path.is_dir():
            yield path, True
    for path in files:
        for folder, folders, names in os.walk(path):  # nothing, if it is a file
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from ((Path(folder, name), False) for name in sorted(names) if name.endswith((".fits", ".fits.gz")))


def _check_outputs(outputs: dict[str, Path | None], inputs: Iterable[Path]) -> None:
    """Refuse to write over an input, or what is not ours, before the work starts."""
    wanted = {option: path for option, path in outputs.items() if path is not None}
    check_replaced(wanted.values(), inputs)
    if len(wanted) > len({path.resolve() for path in wanted.values()}):
        raise ParameterError("both have the same name", where=" and ".join(wanted), todo="name two files")


def _read(paths: dict[Path, bool], *, quiet: bool) -> _Inputs:
    """Read what can be looked at; collect what cannot, and why."""
    inputs = _Inputs()
    seen: dict[str, Path] = {}
    with progress("reading", len(paths), quiet=quiet) as advance:
        for path, named in paths.items():
            first = seen.setdefault(path.name, path)
            if first is path:
                _read_one(path, inputs, named=named)
            elif first.resolve() != path.resolve():
                inputs.leave_out(path, "another file of this name is looked at; an exposure counts once")
            advance(path.name)
    return inputs


def _read_one(path: Path, inputs: _Inputs, *, named: bool) -> None:
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    if stem.endswith(_BESIDE):
        return inputs.leave_out(path, "no issue is looked for in products of this kind")
    try:
        exposure = io.read(path)
        if not isinstance(exposure, Ramp):
            check_size(exposure, path)
    except NotMiriImaging as error:
        return inputs.refused.append(error) if named else inputs.leave_out(path, error.what)
    except InputError as error:
        return inputs.refused.append(error)
    if isinstance(exposure, Ramp):
        raw = InputError(
            "a raw ramp cannot be diagnosed yet", where=path, todo="run it to cal first: mirific run --to cal"
        )
        return inputs.refused.append(raw) if named else inputs.leave_out(path, raw.what)
    if isinstance(exposure, Image) and exposure.meta.get("model_type") not in _IMAGES:
        return inputs.leave_out(path, f"no issue is looked for in a {exposure.meta['model_type']}")
    inputs.exposures.append(exposure)
    return None
