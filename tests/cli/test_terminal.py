"""Nothing of a name or header reaches a terminal as anything but text."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirific.cli import main, messages, options
from mirific.errors import InputError, printable

HOSTILE = "a\x1b]0;x\x07\x9b31m\u202e\u2066\u200b[bold]x[/]\udcff_cal.fits"


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_does_nothing(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@given(st.text(st.characters(codec=None)))
def test_an_error_is_one_line_of_text(text):
    assert str(InputError(text, where=text, todo=text)).isprintable()


def test_log_lines_are_text(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logger = logging.getLogger("mirific")
    before = logger.handlers[:], logger.level
    try:
        messages.set_up_logging(1, quiet=False)
        name = HOSTILE.replace("\udcff", "")  # which who collects the lines of tests could not take
        logger.warning("%s: odd\nindeed", name)
        try:
            raise ValueError(name)
        except ValueError:
            logger.error("with a traceback", exc_info=True)
    finally:
        logger.handlers[:], level = before
        logger.setLevel(level)
        logging.captureWarnings(False)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("mirific: a\\x1b]0;x\\x07")
    assert lines[0].endswith(": odd indeed")
    assert all(line.isprintable() for line in lines)
    assert len(lines) > 3


def test_lines_and_bars_are_text(capsys, monkeypatch):
    options.say(HOSTILE)
    assert capsys.readouterr().out.rstrip("\n").isprintable()
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    with options.progress("reading", 2, quiet=False) as advance:
        advance(HOSTILE)
    shown = stream.getvalue()
    assert "[bold]x[/]" in shown
    assert "\x1b]0" not in shown
    assert not set("\x07\x9b\u202e\u2066\u200b") & set(shown)


@pytest.mark.parametrize(
    "arguments",
    [["diagnose", HOSTILE], ["run", HOSTILE, "-o", "out"], ["explain", HOSTILE], ["run", "a", f"--{HOSTILE}"]],
    ids=("diagnose", "run", "explain", "option"),
)
def test_complaints_are_text(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))
