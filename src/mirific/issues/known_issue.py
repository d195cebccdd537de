"""What a known issue is: its name, its explanation, how it is looked for and what mitigates it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mirific.exposure import ImageSet
from mirific.issues.finding import Finding
from mirific.step import Step

__all__ = ["ARTICLE", "PARTS", "Explanation", "Issue"]

#: The official article.
ARTICLE = "https://jwst-docs.stsci.edu/known-issues/miri-known-issues/miri-imaging-known-issues"

#: The four parts of every explanation; headings in the docstring of each issue's module.
PARTS = (
    "What it is and why it matters",
    "How it is seen",
    "What the official pipeline does, and the workaround",
    "What mirific does, and how safe it is",
)


@dataclass(frozen=True)
class Explanation:
    """A known issue in words.

    Parameters
    ----------
    slug, code, title : str
        Name on the command line; code of the official article, or ""; one line.
    parts : tuple of (str, str)
        Heading and text of each of the four :data:`PARTS`; paragraphs are separated by an empty line.
    levels : tuple of str
        Product levels on which it can be looked for; empty if it is not looked for yet.
    mitigation : str
        Name of the step that mitigates it, or "".
    link : str
        The official article.
    """

    slug: str
    code: str
    title: str
    parts: tuple[tuple[str, str], ...]
    levels: tuple[str, ...]
    mitigation: str
    link: str = ARTICLE

    @property
    def summary(self) -> str:
        """First paragraph of the first part."""
        return self.parts[0][1].split("\n\n")[0]


@dataclass(frozen=True)
class Issue:
    """A known issue of MIRI imaging.

    Parameters
    ----------
    slug, code, title : str
        Name on the command line; code of the official article, or ""; one line.
    text : str
        Docstring of the issue's module; its headings are the :data:`PARTS`.
    levels : tuple of str
        Product levels ("rate", "cal", "crf", "i2d") on which :attr:`detect` can look.
    detect : callable, optional
        Looks for the issue in an image set, and gives one finding per file or group, present or not.
        None where mirific does not look for it yet.
    mitigation : type of Step, optional
        The step that mitigates it, image set to image set; None where there is none yet.
    upstream : str
        Name of the step of an earlier stage that has mitigated it already, or "".
    unseen : dict
        Product level to the reason why the issue cannot be looked for in it.
    """

    slug: str
    code: str
    title: str
    text: str
    levels: tuple[str, ...] = ()
    detect: Callable[[ImageSet], tuple[Finding, ...]] | None = None
    mitigation: type[Step[ImageSet]] | None = None
    upstream: str = ""
    unseen: tuple[tuple[str, str], ...] = ()

    def explanation(self) -> Explanation:
        """Return the explanation, taken from the module's docstring."""
        name = self.mitigation.name if self.mitigation is not None else self.upstream
        return Explanation(self.slug, self.code, self.title, _parts(self.text), self.levels, name)

    def absence(self, level: str) -> str:
        """Why the issue cannot be looked for in a product of this level; "" if it can."""
        if self.detect is None:
            return "mirific explains this issue but does not look for it yet"
        if level in self.levels:
            return ""
        reasons = dict(self.unseen)
        wanted = ", ".join(f"_{name}" for name in self.levels)
        return reasons.get(level, f"cannot be looked for in a _{level} product; give {wanted} files")

    def not_looked(self, file: str, exposures: tuple[str, ...], reason: str) -> Finding:
        """Return the finding that says that the issue was not looked for, and why."""
        return Finding(self.slug, self.code, file, exposures, None, severity="unknown", reason=reason)


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """Split a docstring at its underlined headings; join the lines of each paragraph."""
    pieces = re.split(r"^(.+)\n-{3,}\n", text, flags=re.MULTILINE)[1:]
    headings, bodies = pieces[0::2], pieces[1::2]
    return tuple((head.strip(), _unwrapped(body)) for head, body in zip(headings, bodies, strict=True))


def _unwrapped(body: str) -> str:
    """Join lines within paragraphs."""
    return "\n\n".join(" ".join(block.split()) for block in body.strip().split("\n\n"))
