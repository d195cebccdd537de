"""The step: documented parameters plus one method; and the loop that runs a tuple of steps.

A step is a frozen dataclass whose fields are made by :func:`param`. It declares the CRDS types that it needs
and implements :meth:`Step.apply`. Skipping, references, timing, history and the provenance of flags live
here, once. Command-line options, TOML keys, documentation tables and recorded parameters are all derived
from the same fields (:func:`parameters_of`).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

from mirific.errors import ParameterError
from mirific.exposure import Image, ImageSet, Metadata, Mosaic, StepRecord, origin_of

__all__ = [
    "Configurable",
    "NotApplicable",
    "Parameter",
    "Reference",
    "References",
    "Runnable",
    "Step",
    "param",
    "parameters_of",
    "run_steps",
]

In = TypeVar("In", Image, ImageSet, Mosaic)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a step, as everything that is derived from it needs it."""

    name: str
    kind: type
    default: Any
    doc: str
    unit: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[Any, ...] = ()
    optional: bool = False

    def parse(self, value: Any, where: str) -> Any:
        """Convert ``value`` (a string from the command line, or a TOML or ASDF value) and check its bounds.

        Raises
        ------
        ParameterError
            If it is not of the parameter's type, out of its bounds or not among its choices.
        """
        parsed = _convert(self, value, where)
        if self.choices and parsed not in self.choices:
            listed = ", ".join(map(str, self.choices))
            raise ParameterError(f"{value!r} is not one of: {listed}", where=where, todo="choose one of them")
        too_low = self.ge is not None and isinstance(parsed, (int, float)) and not parsed >= self.ge
        too_high = self.le is not None and isinstance(parsed, (int, float)) and not parsed <= self.le
        if too_low or too_high:
            low = "-inf" if self.ge is None else self.ge
            high = "inf" if self.le is None else self.le
            raise ParameterError(f"{parsed} is out of bounds", where=where, todo=f"give a value in {low} to {high}")
        return parsed


def _convert(parameter: Parameter, value: Any, where: str) -> Any:
    """Convert ``value`` to the parameter's type; None stays None where the parameter may be None.

    Parameter files and TOML have lists, or nothing, where a parameter here is a text of several words.
    """
    if parameter.kind is str and isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if parameter.kind is str and value is None and not parameter.optional:
        return parameter.default
    nothing = isinstance(value, str) and value.lower() in {"none", ""}
    if value is None or (nothing and (parameter.optional or parameter.kind is not str)):
        if parameter.optional:
            return None
        raise ParameterError("None is not allowed", where=where, todo=f"give a {parameter.kind.__name__}")
    try:
        if parameter.kind is bool:
            if isinstance(value, str):
                return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}[value.lower()]
            return {False: False, True: True}[value]
        if isinstance(value, (dict, list, tuple)):
            raise TypeError(f"{type(value).__name__} in place of one value")
        if isinstance(value, str) and "_" in value and parameter.kind is not str:
            raise ValueError(value)
        converted = parameter.kind(value)
        if isinstance(converted, float) and math.isnan(converted):
            raise ValueError(value)
        return converted
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        kind = parameter.kind.__name__
        raise ParameterError(f"{value!r} is not a {kind}", where=where, todo=f"give a {kind}") from error


def param(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[Any, ...] = (),
) -> Any:
    """Declare a step's parameter: default, one sentence, unit, inclusive bounds, allowed values."""
    metadata = {"doc": doc, "unit": unit, "ge": ge, "le": le, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


#: What is known of step classes already; reading their type hints takes time.
_DESCRIBED: dict[type[Any], Mapping[str, Parameter]] = {}


def parameters_of(step: type[Any]) -> Mapping[str, Parameter]:
    """Map the names of a step class's parameters to their descriptions, in the order of declaration."""
    if step in _DESCRIBED:
        return _DESCRIBED[step]
    found = {}
    for item in dataclasses.fields(step):
        kind, optional = _kind_of(item.type) or _evaluated(step, item.name)
        found[item.name] = Parameter(item.name, kind, item.default, **item.metadata, optional=optional)
    _DESCRIBED[step] = found
    return found


#: Types of parameters as they are written.
_WRITTEN: Mapping[str, type] = {kind.__name__: kind for kind in (bool, int, float, str)}


def _kind_of(annotation: Any) -> tuple[type, bool] | None:
    """Type of an annotation such as ``int | None``, and whether it may be None; None if it says something else."""
    name, _, rest = str(annotation).partition(" | ")
    return (_WRITTEN[name], bool(rest)) if name in _WRITTEN and rest in {"", "None"} else None


def _evaluated(step: type[Any], name: str) -> tuple[type, bool]:
    """The same of any annotation: evaluating those of a class takes time."""
    hint = get_type_hints(step)[name]
    allowed = getattr(hint, "__args__", (hint,))
    return next(kind for kind in allowed if kind is not type(None)), type(None) in allowed


class Reference(Protocol):
    """An opened reference file."""

    @property
    def name(self) -> str:
        """Base name of the file, as CRDS knows it."""
        ...

    @property
    def path(self) -> str:
        """Where the file is."""
        ...


class References(Protocol):
    """Where steps get their references; :class:`mirific.references.Crds` is the real one."""

    def expect(self, meta: Metadata, types: tuple[str, ...], steps: tuple[str, ...]) -> None:
        """Take notice of the types and of the steps' parameters that an exposure will want, before it asks for them."""
        ...

    def open(self, meta: Metadata, types: tuple[str, ...]) -> Mapping[str, Reference | None]:
        """Open the best references for an exposure.

        A type for which CRDS answers N/A maps to None.

        Raises
        ------
        ReferenceMissing
            If CRDS has no answer for a type, or the file cannot be had.
        """
        ...

    def context(self) -> str:
        """Name of the rules by which references are chosen, such as ``jwst_1413.pmap``; empty if there are none."""
        ...

    def parameters(self, meta: Metadata, step: str) -> Mapping[str, Any]:
        """Parameters that CRDS holds for a step (``pars-<step>step``); empty where it holds none."""
        ...


@dataclass(frozen=True)
class NotApplicable:
    """An expected outcome of a step: it does not apply to these data, for a reason; what the header says of it."""

    reason: str
    status: str = "SKIPPED"


@dataclass(frozen=True)
class Configurable:
    """What has a name and documented parameters: a step, or the options of a stage.

    Class attributes
    ----------------
    name : str
        By which parameter files and users call it.
    """

    name: ClassVar[str] = ""

    def configured(self, values: Mapping[str, Any]) -> Any:
        """Return a copy with some parameters set.

        Raises
        ------
        ParameterError
            If a name is unknown or a value not acceptable.
        """
        known = parameters_of(type(self))
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ParameterError(
                f"unknown parameter {unknown[0]!r}", where=self.name, todo=f"the parameters are: {', '.join(known)}"
            )
        parsed = {name: known[name].parse(value, f"{self.name}.{name}") for name, value in values.items()}
        return replace(self, **parsed)


@dataclass(frozen=True)
class Step(Configurable, Generic[In]):
    """Base of all steps; a subclass gives ``name``, its parameters and :meth:`apply`.

    Class attributes
    ----------------
    name : str
        The calwebb name of the step, or the slug of the issue that it mitigates.
    reference_types : tuple of str
        CRDS types that :meth:`apply` receives opened.
    """

    reference_types: ClassVar[tuple[str, ...]] = ()

    skip: bool = param(False, "Leave the data as they are.")

    @classmethod
    def in_parity(cls) -> type[Step[Any]]:
        """The step that takes its place in parity mode: itself, unless the official one has other parameters."""
        return cls

    def apply(self, exposure: In, references: Mapping[str, Any]) -> Any:
        """Return the new exposure, or :class:`NotApplicable`."""
        raise AssertionError(f"{type(self).__name__} lacks apply")

    def run(self, exposure: In, references: References) -> Any:
        """Apply the step, and write its record and the provenance of the flags that it set."""
        if self.skip:
            return exposure.with_record(StepRecord(self.name, "SKIPPED", reason="asked for"))
        start = time.perf_counter()
        meta = exposure.images[0].meta if isinstance(exposure, ImageSet) else exposure.meta
        opened = references.open(meta, self.reference_types) if self.reference_types else {}
        result = self.apply(exposure, opened)
        seconds = time.perf_counter() - start
        names = {kind: "N/A" if ref is None else ref.name for kind, ref in opened.items()}
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        if isinstance(result, NotApplicable):
            return exposure.with_record(StepRecord(self.name, result.status, seconds, values, names, result.reason))
        record = StepRecord(self.name, "COMPLETE", seconds, values, names)
        return _recorded(self.name, exposure, result, record)


def _recorded(source: str, before: Any, after: Any, record: StepRecord) -> Any:
    """Attach the record and, for images, the provenance of new flags and the names of references."""
    if isinstance(before, Image) and isinstance(after, Image):
        after = _with_provenance(source, before, after)
    if isinstance(before, ImageSet) and isinstance(after, ImageSet) and len(before.images) == len(after.images):
        pairs = zip(before.images, after.images, strict=True)
        after = after.with_images(_with_provenance(source, old, new).with_record(record) for old, new in pairs)
    files = {
        f"ref_file.{kind}.name": name if name == "N/A" else f"crds://{name}" for kind, name in record.references.items()
    }
    return after.with_meta(files).with_record(record)


def _with_provenance(source: str, before: Image, after: Image) -> Image:
    """Credit ``source`` with the DQ bits that ``after`` has and ``before`` lacks, unless it did so itself."""
    if origin_of(after.dq) is origin_of(before.dq) or not after.flags.same_as(before.flags):
        return after
    return replace(after, flags=before.flags.add_changes(source, before.dq, after.dq))


class Runnable(Protocol):
    """What can be in the tuple of a pipeline: a step, or what looks for issues between steps."""

    @property
    def name(self) -> str:
        """Name of the step."""
        ...

    def run(self, exposure: Any, references: References) -> Any:
        """Return the new exposure."""
        ...


def run_steps(
    steps: Iterable[Runnable],
    exposure: Any,
    references: References,
    after: Callable[[str, Any], object] | None = None,
) -> Any:
    """Run a tuple of steps one after the other: the whole of a pipeline.

    Parameters
    ----------
    steps, exposure, references
    after : callable, optional
        Told the name of each step and what it made.
    """
    for step in steps:
        exposure = step.run(exposure, references)
        if after is not None:
            after(step.name, exposure)
    return exposure
