"""``mirific explain``: the known issues in words."""

from __future__ import annotations

import shutil
import textwrap

from rich.console import Console
from rich.table import Table

from mirific.issues import explain
from mirific.issues.known_issue import Explanation

__all__ = ["run_explain"]


def run_explain(name: str | None) -> int:
    """Print all issues as a table, or one in full."""
    explanations = explain(name)
    if name is None:
        _print_table(explanations)
    else:
        _print_one(explanations[0])
    return 0


def _print_table(explanations: tuple[Explanation, ...]) -> None:
    table = Table(title="Known issues of MIRI imaging", title_justify="left", row_styles=["", "dim"])
    for heading in ("issue", "code", "what it is", "looked for in", "mitigated"):
        table.add_column(heading, overflow="fold")
    for item in explanations:
        levels = ", ".join(item.levels) or "not yet"
        table.add_row(item.slug, item.code, item.title, levels, "yes" if item.remedy else "not yet")
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "mirific explain ISSUE tells one in full; the official article: " + explanations[0].link, soft_wrap=True
    )


def _print_one(item: Explanation) -> None:
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    console = Console(highlight=False, width=width, soft_wrap=False)
    code = f" ({item.code})" if item.code else ""
    console.print(f"[bold]{item.slug}{code}: {item.title}[/bold]\n")
    for heading, text in item.parts:
        console.print(f"[bold]{heading}[/bold]")
        for paragraph in text.split("\n\n"):
            console.print(textwrap.fill(paragraph, width), markup=False)
            console.print()
    console.print(f"Official article: {item.link}", soft_wrap=True)
