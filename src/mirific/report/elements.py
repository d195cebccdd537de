"""Elements of a page; all text that goes into them is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = ["Content", "element", "table"]

#: What an element holds: texts, numbers and other elements.
Content = object


def element(name: str, *content: Content, **attributes: str) -> Markup:
    """Make an element.

    Parameters
    ----------
    name : str
        Of its tag.
    *content
        What it holds; None is left out. Text is escaped, other elements are not.
    **attributes : str
        By name, of which underscores at the end are dropped: ``class_``.
    """
    given = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{''.join(escape(part) for part in content if part is not None)}</{name}>\n")


def table(headings: Iterable[Content], rows: Iterable[Iterable[Content]], classes: Iterable[str] = ()) -> Markup:
    """Make a table that scrolls where it is too wide.

    Parameters
    ----------
    headings : iterable
        Of the columns; none for a table without.
    rows : iterable of iterables
        What the cells hold; a cell that is an element already is taken as it is.
    classes : iterable of str
        Of the cells of each column and, where it is ``n`` for numbers, of its heading.
    """
    given = tuple(classes)
    head = [_cell("th", words, kind if kind == "n" else "") for words, kind in _padded(headings, given)]
    top = element("thead", element("tr", *head)) if head else None
    body = element(
        "tbody", *(element("tr", *(_cell("td", part, kind) for part, kind in _padded(row, given))) for row in rows)
    )
    return element("div", element("table", top, body), class_="table")


def _padded(cells: Iterable[Content], classes: tuple[str, ...]) -> Iterable[tuple[Content, str]]:
    return ((cell, classes[k] if k < len(classes) else "") for k, cell in enumerate(cells))


def _cell(name: str, content: Content, kind: str) -> Markup:
    if isinstance(content, Markup) and content.startswith(("<td", "<th")):
        return content
    return element(name, content, class_=kind) if kind else element(name, content)
