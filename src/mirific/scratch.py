"""Where arrays wait on disk: files without a name, which vanish with their last user.

All that does not fit into memory lies in a :class:`ScratchFile`: images between steps (:mod:`mirific.spool`), stacks of
planes on their way to a product (:mod:`mirific.io.plane_spool`), blocks of ramps (:mod:`mirific.detector1.block_cube`).
"""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirific.errors import OutputError

__all__ = ["ScratchFile"]


class ScratchFile:
    """An open file that no folder lists; what was never written reads as zero and takes no room.

    Parameters
    ----------
    folder : Path, optional
        On whose disk it is, such as that of the products; made if it is not there. By default that of temporary files.

    Raises
    ------
    OutputError
        If no file can be made there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.gettempdir())
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(prefix=".mirific-", dir=folder)  # noqa: SIM115 # open as long as this is
        except OSError as error:
            raise self._unwritable(error) from error
        self.descriptor = file.fileno()
        self.size = 0
        weakref.finalize(self, file.close)

    def extend(self, size: int, *, allocate: bool = False) -> int:
        """Make the file longer, bytes, and return where the new part begins.

        Parameters
        ----------
        size : int
        allocate : bool
            Whether the disk must have room for it now, where the system can tell.

        Raises
        ------
        OutputError
            If there is no room.
        """
        start, self.size = self.size, self.size + size
        try:
            if allocate and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.descriptor, start, size)
            os.truncate(self.descriptor, self.size)
        except OSError as error:
            raise self._unwritable(error) from error
        return start

    def write(self, values: NDArray[Any], place: int) -> None:
        """Write an array, in one piece in memory, at a place in bytes.

        Raises
        ------
        OutputError
            If there is no room for all of it: of what does not fit, the system writes a part and says how much.
        """
        rest = np.ascontiguousarray(values).data.cast("B")
        try:
            while rest.nbytes:
                done = os.pwrite(self.descriptor, rest, place)
                rest, place = rest[done:], place + done
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self, out: NDArray[Any], place: int) -> None:
        """Fill an array, in one piece in memory, from a place in bytes.

        Raises
        ------
        OutputError
            If the file is shorter.
        """
        if out.size and os.preadv(self.descriptor, [out.data.cast("B")], place) != out.nbytes:
            todo = "check the disk and run it again"
            raise OutputError("the temporary file was cut short", where=self.folder, todo=todo)

    def _unwritable(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        todo = "check folder and space"
        return OutputError(f"no temporary file can be written ({reason})", where=self.folder, todo=todo)
