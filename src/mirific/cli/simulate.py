"""``mirific simulate``: raw exposures with known issues, associations and the truth."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mirific.cli.options import say
from mirific.errors import InputError, ParameterError
from mirific.execute import Threads
from mirific.io.drafts import clear_drafts
from mirific.simulate.programme import Programme
from mirific.simulate.write import write_programme

__all__ = ["programme_values", "run_simulate"]

_TUPLES = ("filters", "tiles", "effects.tile-misalignment.visits", "effects.bad-pixels.columns")


def run_simulate(
    output: Path, config: Path | None, assignments: tuple[str, ...], seed: int | None, *, quiet: bool
) -> int:
    """Simulate a programme and say what was written."""
    values = programme_values(config, assignments)
    if seed is not None:
        values["seed"] = seed
    programme = Programme.from_mapping(values)
    for folder in (output, output / "truth"):
        clear_drafts(folder)
    with Threads() as threads:
        manifest = write_programme(programme, output, threads.map)
    if not quiet:
        say(f"{len(manifest.uncal)} raw exposures, associations and truth in {output}")
    return 0


def programme_values(config: Path | None, assignments: Iterable[str]) -> dict[str, Any]:
    """Merge a TOML file and ``NAME=VALUE`` assignments; dots reach into tables.

    Raises
    ------
    InputError
        If the file is missing or not TOML.
    ParameterError
        If an assignment is not of that form.
    """
    values = _read(config) if config is not None else {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not (name and equals):
            raise ParameterError(f"{assignment!r} is not an assignment", where="--set", todo="write NAME=VALUE")
        *tables, last = name.strip().split(".")
        node = values
        for table in tables:
            node = node.setdefault(table, {})
            if not isinstance(node, dict):
                raise ParameterError(f"{table!r} is not a table", where="--set", todo="write NAME=VALUE")
        value = _parsed(text)
        node[last] = [value] if name.strip() in _TUPLES and not isinstance(value, list) else value
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a TOML file ({error})", where=path, todo="mend it") from error


def _parsed(text: str) -> Any:
    """A number, truth value or list where the text is one; names separated by commas are a list."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        parts = [part.strip() for part in text.split(",")]
        return parts if len(parts) > 1 else parts[0]
