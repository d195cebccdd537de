"""What CRDS has answered, kept in the user's cache folder, so that the next run need not ask again.

To load the client and have its first answer takes a second of a core, as long as the quickest runs. What it chooses
follows from its rules (mappings) and from the facts of an exposure: so an answer is kept under a digest of the
contents of both, and of the settings by which the client heeds the environment. It is used as long as these are the
same; where there is a server, which can withdraw a reference at any time, for a day.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mirific.references.crds_process import NO_SERVER

__all__ = ["Answer", "RememberedAnswers"]

#: Names of rules that lead to others, and those that are followed: of the instrument.
_CONTEXT, _RULES = re.compile(r"[\w.-]+\.pmap"), re.compile(rb"'(jwst_miri[\w.-]*\.[ir]map)'")

#: How long an answer is believed where there is a server, s.
_DAY = 86400.0

#: Folders (of one set of rules each) and answers in each that are kept.
_FOLDERS, _ANSWERS = 20, 1000


@dataclass
class Answer:
    """What CRDS chose for exposures with some facts.

    Parameters
    ----------
    names : dict
        CRDS type to the name of the file; ``NOT FOUND ...`` where there is none.
    paths : dict
        Name of a file to where it is.
    """

    names: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RememberedAnswers:
    """Answers that are known for an environment.

    Parameters
    ----------
    environment : mapping of str to str
        All variables that the client would see.
    context : str, optional
        The rules to choose by; else CRDS_CONTEXT.
    """

    environment: Mapping[str, str]
    given: str | None = None

    @property
    def context(self) -> str | None:
        """Name of the rules in force; None where the client alone can tell, or they are not all there."""
        return None if self._folder is None else self._said

    @property
    def _said(self) -> str:
        return self.given or self.environment.get("CRDS_CONTEXT", "")

    @property
    def empty(self) -> bool:
        """Whether nothing is known for these rules."""
        return self._folder is None or not any(self._folder.glob("*.json"))

    def of(self, facts: Iterable[Any]) -> Answer:
        """What is known for exposures with these facts; files that are there no more are left out."""
        path = self._path(facts)
        try:
            content = b"" if path is None else path.read_bytes()
            check, _, told = content.partition(b"\n")
            if path is None or check.decode() != _digest(told) or self._is_old(path):
                return Answer()
            names, paths = json.loads(told)
        except (OSError, ValueError):
            return Answer()
        return Answer(names, {name: path for name, path in paths.items() if os.path.isfile(path)})

    def keep(self, facts: Iterable[Any], answer: Answer) -> None:
        """Remember an answer; where nothing can be written, nothing is remembered."""
        path = self._path(facts)
        if path is None:
            return
        told = json.dumps([answer.names, answer.paths]).encode()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
                draft.write(_digest(told).encode() + b"\n" + told)
            os.replace(draft.name, path)
            _forget_all_but(_ANSWERS, path.parent.glob("*"))
            _forget_all_but(_FOLDERS, path.parents[1].glob("*"))

    def _path(self, facts: Iterable[Any]) -> Path | None:
        return None if self._folder is None else self._folder / f"{_digest(repr(tuple(facts)).encode())}.json"

    def _is_old(self, path: Path) -> bool:
        online = self.environment.get("CRDS_SERVER_URL", "") not in {"", NO_SERVER}
        return online and time.time() - path.stat().st_mtime > _DAY

    @cached_property
    def _folder(self) -> Path | None:
        """Where answers by these rules are; None where the rules are not known."""
        settings = sorted(item for item in self.environment.items() if item[0].startswith("CRDS"))
        usual = {"CRDS_PATH", "CRDS_SERVER_URL", "CRDS_CONTEXT"}
        elsewhere = any(value and key not in usual and "PATH" in key for key, value in settings)
        if elsewhere or not _CONTEXT.fullmatch(self._said) or not self.environment.get("CRDS_PATH"):
            return None
        try:
            rules = _rules(Path(self.environment["CRDS_PATH"]), self._said)
            home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        except (OSError, RuntimeError):
            return None
        key = repr((settings, self.given, version("crds"))).encode() + rules
        return Path(home) / "mirific" / "crds" / _digest(key)


def _rules(cache: Path, context: str) -> bytes:
    """Contents of all rules by which a context chooses, and of what the server last said.

    Raises
    ------
    OSError
        If some are not there.
    """
    said = (cache / "config" / "jwst" / "server_config").read_bytes()
    contents: dict[str, bytes] = {}
    names = [context]
    while names:
        name = names.pop()
        contents[name] = (cache / "mappings" / "jwst" / name).read_bytes()
        names += {found.decode() for found in _RULES.findall(contents[name])} - contents.keys()
    return said + b"".join(name.encode() + contents[name] for name in sorted(contents))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _forget_all_but(number: int, paths: Iterable[Path]) -> None:
    """Remove the oldest files or folders beyond a number."""
    newest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest[number:]:
        for file in (*path.glob("*"), path) if path.is_dir() else (path,):
            file.rmdir() if file.is_dir() else file.unlink(missing_ok=True)
