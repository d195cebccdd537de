"""A command says a few lines on the standard error, the reason why it ended among them."""

from __future__ import annotations

import logging

import pytest

from mirific.cli.messages import conclude, set_up_logging


@pytest.fixture
def log():
    logger = logging.getLogger("mirific")
    handlers, level = logger.handlers[:], logger.level
    yield logging.getLogger("mirific.test")
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.captureWarnings(False)


def test_up_to_three_lines_are_all_said(log, capsys):
    set_up_logging(0, quiet=False)
    for k in range(3):
        log.warning("warning %d", k)
    assert capsys.readouterr().err == "mirific: warning 0\n"
    conclude()
    assert capsys.readouterr().err == "mirific: warning 1\nmirific: warning 2\n"


@pytest.mark.parametrize("count", [4, 50])
def test_of_more_lines_it_is_said_how_many_there_are(log, capsys, count):
    set_up_logging(0, quiet=False)
    for k in range(count):
        log.warning("warning %d", k)
    conclude()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["mirific: warning 0", "mirific: warning 1"]
    assert lines[2:] == [f"mirific: and {count - 2} more lines: -v shows them"]


def test_errors_come_first_and_the_reason_last(log, capsys):
    set_up_logging(0, quiet=False)
    for k in range(5):
        log.warning("warning %d", k)
    log.error("an error")
    conclude("the reason")
    assert capsys.readouterr().err.splitlines() == [
        "mirific: warning 0",
        "mirific: an error",
        "mirific: the reason (and 4 more lines: -v shows them)",
    ]


def test_the_same_is_said_once(log, capsys):
    set_up_logging(0, quiet=False)
    for _ in range(5):
        log.warning("again")
    log.error("the reason")
    conclude("the reason")
    assert capsys.readouterr().err.splitlines() == ["mirific: again", "mirific: the reason"]


def test_asked_for_more_everything_is_said_at_once(log, capsys):
    set_up_logging(1, quiet=False)
    for k in range(9):
        log.info("line %d", k)
    assert len(capsys.readouterr().err.splitlines()) == 9
    conclude("the reason")
    assert capsys.readouterr().err == "mirific: the reason\n"


def test_asked_to_be_quiet_only_errors_are_said(log, capsys):
    set_up_logging(0, quiet=True)
    log.warning("a warning")
    log.error("an error")
    conclude()
    assert capsys.readouterr().err == "mirific: an error\n"
