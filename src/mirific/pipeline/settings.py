"""What the user asked for, and how it meets the parameters of the steps.

Order of precedence, as in the official pipeline: defaults of the step, parameter file of CRDS, the user's
configuration file, the command line.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mirific.errors import InputError, ParameterError
from mirific.exposure import Metadata
from mirific.io.headers import check_values, flattened
from mirific.pipeline.unsupported import refuse, tell
from mirific.step import Configurable, References, Step, parameters_of

__all__ = ["TARGETS", "Settings", "read_config"]

log = logging.getLogger(__name__)

#: Levels at which a run can stop.
TARGETS = ("rate", "cal", "i2d")

Known = TypeVar("Known", bound=Configurable)


@dataclass(frozen=True)
class Settings:
    """What the user asked for.

    Parameters
    ----------
    to : {"rate", "cal", "i2d"}
        Level at which the run stops.
    parity : bool
        Compute what the official pipeline computes, its known defects included, and handle no issues.
    skip : tuple of str
        Issues (slugs) and steps (calwebb names) to leave out.
    values : mapping
        Parameters by step: ``{"jump": {"rejection_threshold": 5.0}}``.
    metadata : mapping
        Metadata to set on raw exposures, such as ``{"instrument.filter": "F770W"}``.
    """

    to: str = "i2d"
    parity: bool = False
    skip: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def configure(self, step: Known, meta: Metadata, references: References) -> Known:
        """Return the step with the parameters of CRDS and the user in force."""
        known = parameters_of(type(step))
        held = references.parameters(meta, step.name)
        tell(step.name, held)
        from_crds = {name: value for name, value in held.items() if name in known}
        asked = {name: value for name, value in self.values.get(step.name, {}).items() if name in known}
        values = {**from_crds, **asked}
        if step.name in self.skip:
            values["skip"] = True
        configured: Known = step.configured(values)
        return configured

    def with_assignments(self, assignments: Iterable[str]) -> Settings:
        """Return a copy with ``STEP.PARAM=VALUE`` and ``meta.NAME=VALUE`` assignments added.

        Raises
        ------
        ParameterError
            If an assignment is not of that form.
        """
        values = {step: dict(found) for step, found in self.values.items()}
        metadata = dict(self.metadata)
        for assignment in assignments:
            target, equals, value = assignment.partition("=")
            step, dot, name = target.strip().partition(".")
            if not (equals and dot and name):
                raise ParameterError(
                    f"{assignment!r} is not an assignment", where="--set", todo="write STEP.PARAM=VALUE"
                )
            if step == "meta":
                metadata[name] = _literal(value)
            else:
                values.setdefault(step, {})[name] = value.strip()
        return replace(self, values=values, metadata=metadata)

    def check(self, steps: Mapping[str, type[Configurable]], issues: Iterable[str]) -> None:
        """Refuse names that nobody answers to, before any work is done.

        Raises
        ------
        ParameterError
            If a step, parameter or issue is unknown, or a value unacceptable.
        """
        for name in self.skip:
            if name not in set(issues) and name not in steps:
                raise ParameterError(f"unknown issue or step {name!r}", where="--skip", todo=_list(issues))
        try:
            check_values(self.metadata, "--set meta")
        except InputError as error:
            raise ParameterError(error.what, where=error.where, todo=error.todo) from error
        for name, values in self.values.items():
            if name not in steps:
                raise ParameterError(f"unknown step {name!r}", where="--set", todo=_list(steps))
            refuse(name, values)
            self._check_values(steps[name], values)

    def _check_values(self, step: type[Configurable], values: Mapping[str, Any]) -> None:
        """Check the values of a step; those of its other mode are left out, with a line."""
        official = step.in_parity() if issubclass(step, Step) else step
        used, other = (official, step) if self.parity else (step, official)
        of_other = {name for name in values if name in parameters_of(other)} - set(parameters_of(used))
        other().configured({name: values[name] for name in of_other})
        used().configured({name: value for name, value in values.items() if name not in of_other})
        if of_other:
            names = ", ".join(f"{step.name}.{name}" for name in sorted(of_other))
            log.warning("%s: without effect %s --parity", names, "with" if self.parity else "without")

    def fingerprint(self) -> str:
        """Digest of all that the settings decide, for telling whether a product is still good."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _list(names: Iterable[str]) -> str:
    return "the names are: " + ", ".join(sorted(names))


def _literal(text: str) -> Any:
    """Read a number or truth value where the text is one, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def read_config(path: Path, settings: Settings) -> Settings:
    """Add the contents of a TOML file: a table per step, and ``[run]`` with to, parity, skip and metadata.

    Raises
    ------
    InputError
        If the file is missing or not TOML.
    ParameterError
        If ``[run]`` has unknown keys, or values of another type.
    """
    import tomllib

    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, todo="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a TOML file ({error})", where=path, todo="mend it") from error
    run = tree.pop("run", {})
    known: dict[str, type] = {"to": str, "parity": bool, "skip": list, "metadata": dict}
    tables = {"run": run, **tree}
    odd = [name for name, table in tables.items() if not isinstance(table, dict)] or sorted(set(run) - set(known))
    if odd:
        raise ParameterError(
            f"unknown key {odd[0]!r}", where=path, todo=f"[run] takes {', '.join(sorted(known))}; steps are tables"
        )
    for name, value in run.items():
        if not isinstance(value, known[name]):
            kind = {"skip": "a list of names", "metadata": "a table"}.get(name, f"a {known[name].__name__}")
            raise ParameterError(f"{name} = {value!r}", where=path, todo=f"give {kind}")
    if "skip" in run:
        run["skip"] = tuple(map(str, run["skip"]))
    if "metadata" in run:
        texts = json.loads(json.dumps(run["metadata"], default=str))  # dates, that is
        run["metadata"] = dict(flattened(texts))
    return replace(settings, **run, values={**settings.values, **tree})
