"""Write docs/reference.md: every command, step, parameter and issue, from the code that has them.

``python docs/generate.py`` writes the page; a test fails when it is out of date.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from mirific.cli.app import commands
from mirific.issues import explain
from mirific.pipeline.steps import StepsByName
from mirific.step import Configurable, Step, parameters_of

PAGE = Path(__file__).with_name("reference.md")


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    for name, command in commands():
        yield f"### `mirific {name}`\n\n{inspect.cleandoc(command.help or '')}\n"
        yield "| argument or option | meaning |\n|---|---|"
        for item in command.params:
            label = " ".join(item.opts) if isinstance(item, click.Option) else item.human_readable_name
            yield f"| `{label}` | {item.help} |"
        yield ""


def _steps() -> Iterator[str]:
    yield "## Steps\n"
    yield "Set a parameter with `--set STEP.PARAM=VALUE` or in a TOML table named as the step.\n"
    for name, step in StepsByName().items():
        yield from _step(f"`{name}`", step)
        if issubclass(step, Step) and step.in_parity() is not step:
            yield from _step(f"`{name}` with `--parity`", step.in_parity())


def _step(name: str, step: type[Configurable]) -> Iterator[str]:
    doc = (step.__doc__ or "").strip().split("\n\n")[0]
    yield f"### {name}\n\n{' '.join(doc.split())}\n"
    if issubclass(step, Step) and step.reference_types:
        yield f"References: {', '.join(f'`{kind}`' for kind in step.reference_types)}.\n"
    yield "| parameter | default | unit | meaning |\n|---|---|---|---|"
    for item in parameters_of(step).values():
        bounds = _bounds(item.ge, item.le, item.choices)
        yield f"| `{item.name}` | `{item.default}` | {item.unit} | {item.doc}{bounds} |"
    yield ""


def _bounds(low: float | None, high: float | None, choices: tuple[object, ...]) -> str:
    if choices:
        return f" One of {', '.join(map(str, choices))}."
    limits = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
    said = ", ".join(limit for limit in limits if limit)
    return f" ({said})" if said else ""


def _issues() -> Iterator[str]:
    yield "## Known issues\n"
    yield "| issue | code | what it is | looked for in | mitigated by |\n|---|---|---|---|---|"
    for item in explain():
        levels = ", ".join(item.levels) or "not yet"
        yield f"| `{item.slug}` | {item.code} | {item.title} | {levels} | {item.remedy or 'not yet'} |"


def page() -> str:
    """Return the whole page."""
    head = "# Reference\n\nMade from the code by `python docs/generate.py`; do not edit.\n"
    return "\n".join([head, *_commands(), *_steps(), *_issues()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
