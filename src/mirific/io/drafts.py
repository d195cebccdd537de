"""Hidden folders in which files are made before they appear under their names; those of killed runs are cleared.

A draft folder holds a locked file as long as its maker lives: the system lets go of the lock with the process, however
that ends. So a folder whose lock can be had belongs to nobody, also where several runs write to one place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["clear_drafts", "draft_folder"]

#: What the names of draft folders begin with, and the name of the locked file in each.
_PREFIX, _LOCK = ".mirific-", ".lock"


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """Make a hidden folder in another one, as this process's own, and remove it when the block ends.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    folder, lock = _locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """A new folder and its lock; another one where who clears came between the two."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks: nobody can clear there, either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def clear_drafts(parent: Path) -> tuple[Path, ...]:
    """Remove the draft folders of processes that are no more, and say which.

    Hidden folders without a lock are left alone unless they are empty: who made them is not known.
    """
    found = sorted(parent.glob(f"{_PREFIX}*"))
    return tuple(folder for folder in found if folder.is_dir() and not folder.is_symlink() and _removed(folder))


def _removed(folder: Path) -> bool:
    """Remove a draft folder if nobody holds its lock."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # killed before it was locked, or about to be; who is alive makes another one
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # in use, or a file system without locks
        return False
    finally:
        os.close(lock)
    return not folder.exists()
