"""The ``crds`` client in a process of its own, which answers questions of one line each.

Importing the client and its first answer take as long as a fifth of a whole exposure: here they run on another core
while the run starts, as soon as the command line is read (so this module imports next to nothing). The client keeps
to itself what it prints, how it leaves a process that finds no server, and the environment that it reads but once.

Questions and answers are JSON objects: ``{"ask": NAME, **arguments}`` is answered by ``{"answer": ...}``, or by
``{"error": REASON}`` where the client refuses. Answers come in the order of the questions, of which more than one
can be under way. In between the client gives a sign of life, an empty line, every few seconds: an answer may take as
long as a reference takes to be fetched, but a client that is silent for :data:`PATIENCE` was stopped, and is given up.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import functools
import gc
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from mirific.errors import InputError, ReferenceMissing

__all__ = [
    "NO_SERVER",
    "PATIENCE",
    "ClientProcess",
    "Refused",
    "Silent",
    "answer_questions",
    "client_process",
    "crds_environment",
    "end_clients",
]

#: A server name that tells the client not to try (``crds: crds/client/proxy.py``).
NO_SERVER = "https://jwst-serverless-mode.stsci.edu"

#: How long a client may give no sign of life, s.
PATIENCE = 60.0

#: How often it gives one, s.
_SIGN = 5.0

#: Processes that are kept; each is for one environment, and a run needs one.
_KEPT = 2

#: Those that run, by the process that started them (one that was forked must not talk to them) and environment.
_RUNNING: dict[tuple[int, tuple[tuple[str, str], ...]], ClientProcess] = {}
_STARTING = threading.Lock()


_BUILD_ONE = (
    "set CRDS_PATH and CRDS_SERVER_URL, or give --references DIR (mirific cache build DIR makes an assumed one)"
)


def crds_environment(path: Path | None, context: str | None = None) -> dict[str, str]:
    """Variables that make the client use a cache and nothing else; none where no cache is given.

    Parameters
    ----------
    path : Path, optional
        A cache to use without a server; else the environment decides.
    context : str, optional
        Rules to choose by, such as ``jwst_1413.pmap``; else those that the cache says.

    Raises
    ------
    InputError
        If the folder is not a CRDS cache.
    ReferenceMissing
        If no cache is given, and the environment names neither cache nor server.
    """
    if path is None:
        _check_environment()
        return {}
    config = path / "config" / "jwst" / "server_config"
    if not config.is_file():
        raise InputError(
            "not a CRDS cache: it has no config/jwst/server_config",
            where=path,
            todo="make one by mirific cache build DIR",
        )
    chosen = context or _operational_context(config)
    return {"CRDS_PATH": str(path.absolute()), "CRDS_SERVER_URL": NO_SERVER, "CRDS_CONTEXT": chosen}


def _operational_context(config: Path) -> str:
    """Context that the cache says, a name of rules."""
    try:
        told = ast.literal_eval(config.read_text())["operational_context"]
    except (OSError, ValueError, SyntaxError, TypeError, LookupError, MemoryError, RecursionError) as error:
        raise InputError("damaged CRDS cache", where=config, todo="make it again") from error
    if not isinstance(told, str) or not re.fullmatch(r"[\w.-]+", told):
        raise InputError(f"damaged CRDS cache: its context is {told!a}", where=config, todo="make it again")
    return told


def _check_environment() -> None:
    """Refuse early where the client would find neither cache nor server and leave the process."""
    names = ("CRDS_PATH", "CRDS_PATH_SINGLE", "CRDS_CFGPATH", "CRDS_CONFIG_URI")
    server = os.environ.get("CRDS_SERVER_URL", "")
    if not any(os.environ.get(name) for name in names) and not server:
        raise ReferenceMissing("neither CRDS_PATH nor CRDS_SERVER_URL is set", todo=_BUILD_ONE)
    path = os.environ.get("CRDS_PATH")
    if path and not server and not os.path.isfile(os.path.join(path, "config", "jwst", "server_config")):
        raise ReferenceMissing("CRDS_PATH holds no cache and no CRDS_SERVER_URL is set", where=path, todo=_BUILD_ONE)


class Refused(Exception):
    """The client cannot answer; the message is its reason."""


class Silent(Exception):
    """The client gives no sign of life, or was killed; the message says so, and another client may answer."""


class ClientProcess:
    """A client that was started in an environment, and is asked from any thread.

    Parameters
    ----------
    environment : mapping of str to str
        All of its environment variables; the client heeds those that begin with ``CRDS``.
    patience : float, optional
        How long it may give no sign of life, s; by default :data:`PATIENCE`.
    """

    def __init__(self, environment: Mapping[str, str], patience: float | None = None) -> None:
        self._patience = PATIENCE if patience is None else patience
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._asked, self._answered = 0, 0
        self._given_up = False
        self._replies: dict[int, bytes] = {}
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=dict(environment),
        )
        os.set_blocking(_stream(self._process.stdin).fileno(), False)  # a client that was stopped does not read

    def ask(self, question: str, **arguments: Any) -> Any:
        """Ask, and wait for the answer.

        Parameters
        ----------
        question : str
            One of the names in :data:`ANSWERS`.
        **arguments
            What its function takes; JSON can hold them.

        Raises
        ------
        Refused
            If the client has no answer, or the question ended it.
        Silent
            If it gives no sign of life, or was killed.
        """
        return self.put(question, **arguments)()

    def put(self, question: str, **arguments: Any) -> Callable[[], Any]:
        """Ask as :meth:`ask` does, and go on: what is returned waits for the answer when it is called."""
        line = json.dumps({"ask": question, **arguments}).encode() + b"\n"
        with self._lock, contextlib.suppress(BrokenPipeError):
            number, self._asked = self._asked, self._asked + 1
            if not _stream(self._process.stdin).closed:
                self._send(line)
        return functools.partial(self._answer, number)

    def _send(self, line: bytes) -> None:
        """Write a line; what does not fit into the pipe waits until the client reads."""
        pipe = _stream(self._process.stdin).fileno()
        rest = memoryview(line)
        while rest:
            self._wait_for(pipe, select.POLLOUT)
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(pipe, rest) :]

    def _read_line(self) -> bytes:
        """Next line that is no sign of life; empty at the end of all."""
        pipe = _stream(self._process.stdout).fileno()
        while not self._lines or not self._lines[0].endswith(b"\n"):
            self._wait_for(pipe, select.POLLIN)
            piece = os.read(pipe, 2**16)
            if not piece:
                return b""
            whole = b"".join([*self._lines, piece]).splitlines(keepends=True)
            self._lines = [line for line in whole if line != b"\n"]
        return self._lines.pop(0)

    def _wait_for(self, pipe: int, event: int) -> None:
        """Wait until a pipe can be read or written.

        The wait is cut into pieces, so that a program that was itself stopped does not blame the client for it.

        Raises
        ------
        Silent
            If the patience is at its end; the client is ended.
        """
        poll = select.poll()
        poll.register(pipe, event)
        pieces = 20
        for _ in range(pieces):
            if poll.poll(1000 * self._patience / pieces):
                return
        self._given_up = True
        self._process.kill()
        raise Silent(f"the CRDS client (process {self._process.pid}) gave no sign of life for {self._patience:g} s")

    def _answer(self, number: int) -> Any:
        """Answer to a question; those to earlier ones are kept for who waits for them."""
        stdout = _stream(self._process.stdout)
        with self._lock:
            while number not in self._replies:
                self._replies[self._answered] = b"" if stdout.closed else self._read_line()
                self._answered += 1
            line = self._replies.pop(number)
        if not line:
            words = self._last_words()
            killed = self._process.returncode < 0
            raise (Silent if killed else Refused)(f"the CRDS client (process {self._process.pid}) ended: {words}")
        reply = json.loads(line)
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["answer"]

    @property
    def alive(self) -> bool:
        """Whether it still answers, as far as is known."""
        return not self._given_up and self._process.poll() is None

    def end(self, *, wait: bool = True) -> None:
        """End it, and wait until it has; it holds nothing that could be lost."""
        self._process.kill()
        if not wait:
            return
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            with contextlib.suppress(BrokenPipeError):
                _stream(stream).close()

    def _last_words(self) -> str:
        self._process.wait()
        if self._complaints.closed:
            return "it was told to"
        self._complaints.seek(0)
        words = self._complaints.read().decode(errors="replace").strip().splitlines()
        return words[-1] if words else f"exit code {self._process.returncode}"


def _stream(stream: IO[Any] | None) -> IO[Any]:
    """Stream of a process that was started with pipes."""
    assert stream is not None
    return stream


def client_process(changes: Mapping[str, str]) -> ClientProcess:
    """Process for the present environment with these changes: one that runs, or a new one.

    Parameters
    ----------
    changes : mapping of str to str
        Environment variables that the client shall see.
    """
    environment = {**os.environ, **changes}
    key = (os.getpid(), tuple(sorted(item for item in environment.items() if item[0].startswith("CRDS"))))
    with _STARTING:
        if key not in _RUNNING or not _RUNNING[key].alive:
            for oldest in _own()[: 1 - _KEPT]:
                _RUNNING.pop(oldest).end()
            _RUNNING[key] = ClientProcess(environment)
        return _RUNNING[key]


def _own() -> list[tuple[int, tuple[tuple[str, str], ...]]]:
    """Those that this very process started, the oldest first."""
    return [key for key in _RUNNING if key[0] == os.getpid()]


@atexit.register
def end_clients(*, wait: bool = True) -> None:
    """End the clients that this process started, and wait until they have."""
    for key in _own():
        _RUNNING.pop(key).end(wait=wait)


def context(given: str | None) -> str:
    """Name of the pmap in force."""
    from crds.core import heavy_client

    return str(heavy_client.get_processing_mode("jwst", given)[1])


def recommend(given: str | None, parameters: dict[str, Any], types: list[str]) -> dict[str, str]:
    """Names of the best references by type, as ``crds.getrecommendations`` gives them."""
    import crds

    found = crds.getrecommendations(parameters, reftypes=types, context=given, observatory="jwst")
    return {kind: str(name) for kind, name in found.items()}


def fetch(given: str | None, names: dict[str, str]) -> dict[str, str]:
    """Paths in the cache by type; what is not there yet is fetched from the server."""
    from crds.client import api

    return {kind: str(path) for kind, path in api.cache_references(context(given), names).items()}


def choose(given: str | None, parameters: dict[str, Any], types: list[str]) -> dict[str, Any]:
    """All that is known beforehand of an exposure: context, names of references, paths of its parameter files."""
    names = recommend(given, parameters, types)
    files = {
        kind: name for kind, name in names.items() if kind.startswith("pars-") and not name.startswith("NOT FOUND")
    }
    return {"context": context(given), "names": names, "paths": fetch(given, files) if files else {}}


#: What can be asked.
ANSWERS: dict[str, Callable[..., Any]] = {"context": context, "recommend": recommend, "fetch": fetch, "choose": choose}


def answer_questions() -> None:
    """Answer the questions that come in, until no more can come."""
    gc.disable()  # the imports leave no garbage, and the answers little
    replies = os.dup(sys.stdout.fileno())
    sys.stdout = sys.stderr
    threading.Thread(target=_live, args=(replies,), daemon=True).start()
    import logging

    import crds
    from crds.client import api

    assert crds  # with all that choosing takes

    logging.getLogger("CRDS").setLevel(logging.CRITICAL + 1)
    if not os.environ.get("CRDS_SERVER_URL"):
        api.set_crds_server(NO_SERVER)
    for line in sys.stdin:
        question = json.loads(line)
        _tell(replies, json.dumps(_reply(question.pop("ask"), question)))


#: One line at a time.
_TELLING = threading.Lock()


def _tell(replies: int, line: str) -> None:
    """Write a line to who asked."""
    rest = memoryview(f"{line}\n".encode())
    with _TELLING:
        while rest:
            rest = rest[os.write(replies, rest) :]


def _live(replies: int) -> None:
    """Give signs of life, as long as somebody takes them."""
    with contextlib.suppress(BrokenPipeError):
        while True:
            time.sleep(_SIGN)
            _tell(replies, "")


def _reply(question: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from crds.core.exceptions import CrdsError

    try:
        return {"answer": ANSWERS[question](**arguments)}
    except (CrdsError, OSError, AssertionError) as error:
        return {"error": " ".join(str(error).split())}
    except (AttributeError, SystemExit):
        # Both are how the client reacts to finding neither a server nor a cached configuration.
        return {"error": "there is neither a server nor a cached configuration"}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        answer_questions()
    os._exit(0)  # nothing is left to be said or tidied up
