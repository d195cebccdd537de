"""Results on a terminal or in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirific.errors import printable
from mirific.issues import Finding
from mirific.report.results import Comparison, Results

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["number", "print_comparisons", "print_text", "verdict"]

_STYLE = {"found": "bold yellow", "not found": "green", "not looked for": "dim"}


def verdict(finding: Finding) -> str:
    """In words: found, not found, not looked for."""
    return {True: "found", False: "not found", None: "not looked for"}[finding.present]


def number(value: float | None, unit: str = "") -> str:
    """Four significant digits and the unit, or a dash."""
    return "–" if value is None else f"{value:.4g} {unit}".strip()


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _plain(text: str, style: str = "") -> Text:
    """A text of the data as it is: neither markup nor control characters."""
    from rich.text import Text

    return Text(printable(text), style)


def print_text(results: Results) -> None:
    """Print one line per finding; what was not looked for comes as one line of names."""
    console = _console()
    looked = [finding for finding in results.findings if finding.present is not None]
    if looked:
        console.print(_table(results, looked))
    somewhere = {finding.issue for finding in looked}
    unseen = {finding.issue for finding in results.findings if finding.present is None}
    for words, issues in (("here", unseen - somewhere), ("in all files", unseen & somewhere)):
        if issues:
            said = f"not looked for {words}: {', '.join(sorted(issues))} (--json or --html say why)"
            console.print(_plain(said), soft_wrap=True)


def _table(results: Results, findings: list[Finding]) -> Table:
    from rich.table import Table

    table = Table(title=_plain(results.title), title_justify="left", show_lines=False)
    mitigated = bool(results.left)
    columns = ("issue", "where", "verdict", "value", "sigma", "threshold", *(("left",) if mitigated else ()), "action")
    for column in columns:
        table.add_column(column, overflow="fold")
    for finding in findings:
        after = results.after(finding)
        left = (number(after.value if after else None, finding.unit),) if mitigated else ()
        word = verdict(finding)
        cells = (
            finding.issue,
            finding.where or finding.file,
            _plain(word, _STYLE[word]),
            number(finding.value, finding.unit),
            number(finding.significance),
            number(finding.threshold, finding.unit),
            *left,
            finding.action if finding.present else "",
        )
        table.add_row(*(_plain(cell) if isinstance(cell, str) else cell for cell in cells))
    return table


def print_comparisons(comparisons: tuple[Comparison, ...]) -> None:
    """Print the table injected / found / left."""
    from rich.table import Table

    table = Table(title="Against the truth", title_justify="left")
    for column in ("issue", "injected", "found", "left", ""):
        table.add_column(column, overflow="fold")
    for row in comparisons:
        last = _plain("ok", "green") if row.good else _plain("off", "red")
        table.add_row(*map(_plain, (row.issue, row.injected, row.found, row.left)), last)
    _console().print(table)
