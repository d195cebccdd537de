"""``mirific diagnose``: look for the known issues, touch nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mirific import io
from mirific.cli.options import progress
from mirific.errors import InputError, MirificError
from mirific.exposure import Image, Mosaic
from mirific.io.products import write_json, write_text
from mirific.io.protection import check_replaced
from mirific.issues import Finding, diagnose

__all__ = ["run_diagnose"]

log = logging.getLogger(__name__)


def run_diagnose(files: list[Path], json_file: Path | None, html_file: Path | None, *, quiet: bool) -> int:
    """Diagnose products; exit code 0 nothing found, 1 findings, 2 a file could not be looked at."""
    from mirific import report

    reports = [path for path in (json_file, html_file) if path is not None]
    if len(reports) > len({path.resolve() for path in reports}):
        raise InputError("both --json and --html", where=json_file, todo="give them names of their own")
    check_replaced(reports, _expanded(files))
    exposures, refused = _read_all(files, quiet=quiet)
    if not exposures:
        raise refused[0]
    findings = diagnose(exposures)
    results = report.Results(findings=findings, inputs=tuple(path.name for path in files))
    if json_file is not None:
        write_json(report.as_json(results), json_file)
    if html_file is not None:
        write_text(report.as_html(results), html_file)
    if not quiet:
        report.print_text(results)
    return _exit_code(findings, refused)


def _exit_code(findings: tuple[Finding, ...], refused: list[MirificError]) -> int:
    for error in refused:
        log.error("%s", error)
    if refused:
        return 2
    return 1 if any(finding.present for finding in findings) else 0


def _read_all(files: list[Path], *, quiet: bool) -> tuple[tuple[Any, ...], list[MirificError]]:
    """Read what can be read; collect the errors of the rest."""
    exposures: list[Image | Mosaic] = []
    refused: list[MirificError] = []
    with progress("reading", len(files), quiet=quiet) as advance:
        for path in _expanded(files):
            try:
                exposures.append(_image(path))
            except InputError as error:
                refused.append(error)
            advance(path.name)
    return tuple(exposures), refused


def _expanded(files: list[Path]) -> list[Path]:
    return [found for path in files for found in (sorted(path.glob("*.fits")) if path.is_dir() else [path])]


def _image(path: Path) -> Image | Mosaic:
    exposure = io.read(path)
    if not isinstance(exposure, (Image, Mosaic)):
        raise InputError(
            "a raw ramp cannot be diagnosed yet", where=path, todo="run it to cal first: mirific run --to cal"
        )
    return exposure
