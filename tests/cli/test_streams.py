"""Standard streams that are closed, full, or that nobody reads: nothing is lost, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from mirific.cli.streams import _Output

#: How a shell spoils the streams; the last word of a pipeline gets the output.
CLOSED = ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"]
GONE = ["| head -c 0", "2>&1 | head -c 0"]
FULL = [">/dev/full", ">/dev/full 2>/dev/full"]


def shell(words: str, cwd) -> tuple[int, str]:
    """Run ``mirific WORDS``, redirections included; its exit code, and what is left to be read."""
    script = f"{sys.executable} -m mirific {words}; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", script], cwd=cwd, capture_output=True, text=True, check=False, timeout=500, env=os.environ
    )
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
    return result.returncode, result.stderr


@pytest.mark.parametrize("command", ["--help", "explain", "doctor --references {cache}"])
@pytest.mark.parametrize("end", [*CLOSED, *GONE])
def test_who_listens_to_nobody_ends_well(command, end, cache, tmp_path):
    assert shell(f"{command.format(cache=cache)} {end}", tmp_path) == (0, "")


@pytest.mark.parametrize("command", ["--version", "explain", "run --help", "doctor --references {cache}"])
def test_words_that_are_lost_are_missed(command, cache, tmp_path):
    code, said = shell(f"{command.format(cache=cache)} >/dev/full", tmp_path)
    assert code == 2
    assert said == "mirific: standard output: cannot be written (No space left on device); give it another place\n"


@pytest.mark.parametrize("end", [CLOSED[-1], GONE[-1], FULL[-1]])
def test_a_simulation_is_whole_whoever_listens(end, tmp_path):
    words = "simulate -o sim --set subarray=SUB64 --set nints=1 --set ngroups=5 --set ndithers=1 --seed 2"
    assert shell(f"{words} {end}", tmp_path) == (0, "")
    assert len(list((tmp_path / "sim").rglob("*_uncal.fits"))) == 1


@pytest.mark.parametrize("end", [CLOSED[0], CLOSED[-1], GONE[-1], FULL[-1]])
def test_products_are_whole_whoever_listens(end, raw, cache, tmp_path):
    uncal = sorted(raw.glob("*_uncal.fits"))[0]
    assert shell(f"run {uncal} -o out --to rate --references {cache} -v {end}", tmp_path)[0] == 0
    assert {path.name.rsplit("_", 1)[-1] for path in (tmp_path / "out").glob("[!.]*")} == {
        "rate.fits", "rateints.fits", "report.html", "report.json",
    }  # fmt: skip
    json.loads((tmp_path / "out" / "report.json").read_text())


def test_a_wrong_command_line_is_wrong_whoever_listens(tmp_path):
    for end in [*CLOSED, *GONE, *FULL]:
        assert shell(f"bogus {end}", tmp_path)[0] == 2


def test_a_pipe_that_does_not_wait_gets_everything():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    got = bytearray()

    def read() -> None:
        while piece := os.read(reader, 1000):
            got.extend(piece)

    thread = threading.Thread(target=read)
    whole = bytes(range(256)) * 4000
    output, rest = _Output(writer, "wb"), memoryview(whole)
    thread.start()
    while rest:
        rest = rest[output.write(rest) :]
    output.close()
    thread.join()
    os.close(reader)
    assert got == whole
