"""Folders of drafts: one's own while one lives, cleared by others afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from mirific.io.drafts import clear_drafts, draft_folder


def test_a_draft_lives_as_long_as_its_maker(tmp_path):
    with draft_folder(tmp_path) as folder:
        (folder / "product.fits").write_text("half")
        assert clear_drafts(tmp_path) == ()
        assert (folder / "product.fits").read_text() == "half"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared(tmp_path):
    script = f"""
import time
from pathlib import Path
from mirific.io.drafts import draft_folder
with draft_folder(Path({str(tmp_path)!r})) as folder:
    (folder / "product.fits").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert clear_drafts(tmp_path) == ()
        process.send_signal(signal.SIGKILL)
    (left,) = tmp_path.iterdir()
    assert clear_drafts(tmp_path) == (left,)
    assert list(tmp_path.iterdir()) == []


def test_what_others_made_stays(tmp_path):
    theirs = tmp_path / ".mirific-theirs"
    theirs.mkdir()
    (theirs / "notes").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".lock").touch()
    (tmp_path / ".mirific-link").symlink_to(elsewhere)
    (tmp_path / ".mirific-file").write_text("mine")
    assert clear_drafts(tmp_path) == ()
    assert len(list(tmp_path.iterdir())) == 4
    assert clear_drafts(tmp_path / "absent") == ()


def test_a_folder_that_was_not_yet_locked_is_cleared(tmp_path):
    (tmp_path / ".mirific-begun").mkdir()
    assert [folder.name for folder in clear_drafts(tmp_path)] == [".mirific-begun"]


def test_who_clears_and_who_makes_do_not_meet(tmp_path):
    lost, done = list[Path](), threading.Event()

    def make() -> None:
        for _ in range(300):
            with draft_folder(tmp_path) as folder:
                (folder / "product").write_text("whole")
                if not (folder / "product").exists():
                    lost.append(folder)
        done.set()

    maker = threading.Thread(target=make)
    maker.start()
    while not done.is_set():
        clear_drafts(tmp_path)
    maker.join()
    assert lost == []
    assert list(tmp_path.iterdir()) == []
