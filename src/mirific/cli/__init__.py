"""The ``mirific`` command: the only place where all parts meet.

Each command is one module that is imported when it is called, so that ``mirific --help`` answers at once.
Exit codes: 0 all is done (of ``diagnose``: nothing found), 1 findings (``diagnose`` only), 2 refused or impossible,
3 finished, but an exposure or a mosaic was set aside, 128 and the number of the signal if interrupted (130, 143).
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from typing import NoReturn

from mirific.cli.streams import complain

__all__ = ["main"]

#: How linear algebra is told to start no threads of its own, which would fight with ours over the cores.
_SERIAL = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

#: New objects after which the collector of cyclic garbage looks for some: more than the imports and an exposure leave,
#: which leave no garbage; with Python's 700 that takes a twentieth of the time of a run.
_NEW_OBJECTS = 200_000

#: Exit code of what was interrupted, to which the number of the signal is added, as shells do.
_INTERRUPTED = 128

#: How commands that were interrupted, or lacked memory, go on; the others are given again.
_GOES_ON = {
    "run": "finished products are whole, run --resume goes on from there",
    "demo": "what is written is whole; remove its folder, or name another one, and start again",
}
_NEEDS_LESS = dict.fromkeys(("run", "demo"), "finished products are whole, --workers 1 needs less")


def _set_up_process() -> None:
    """Settle what belongs to a whole process, before libraries are loaded; a caller from Python keeps its own ways.

    Signals that are ignored stay so: ``nohup`` and shells that run something in the background ask for that.
    """
    from mirific.cli.streams import open_streams
    from mirific.execute.memory import keep_freed_memory

    open_streams()
    os.environ.update(_SERIAL | os.environ)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupted)
    keep_freed_memory()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


def _interrupted(number: int, _: object) -> NoReturn:
    """Let a run that is told to end tidy up, as at the user's own interruption."""
    raise KeyboardInterrupt(number)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; errors of the user become one line and exit code 2.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; by default that of the process.
    """
    code, reason = _outcome(arguments)
    if "logging" in sys.modules:
        from mirific.cli.messages import conclude

        conclude(reason)
    elif reason:
        complain(reason)
    if arguments is None:
        _leave(code)
    return code


def _advice(arguments: list[str] | None, advices: Mapping[str, str]) -> str:
    """What there is to say of what a command leaves, and how to go on from there."""
    words = sys.argv[1:] if arguments is None else arguments
    return advices.get(words[0] if words else "", "what is written is whole")


def _outcome(arguments: list[str] | None) -> tuple[int, str]:
    """Exit code of the command, and what is wrong, if anything is."""
    from mirific.errors import MirificError, OutputError

    try:
        if arguments is None:
            _set_up_process()
        from mirific.cli.app import run_app

        return run_app(arguments), ""
    except MirificError as error:
        return 2, str(error)
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        return _INTERRUPTED + number, f"interrupted; {_advice(arguments, _GOES_ON)}"
    except MemoryError:
        return 2, f"not enough memory; {_advice(arguments, _NEEDS_LESS)}"
    except OSError as error:  # where nobody expected it: a disk that is full, a folder that has gone
        if "logging" in sys.modules:
            sys.modules["logging"].getLogger("mirific").debug("this is where", exc_info=error)
        todo = "check disks and permissions, or see where with -vv"
        return 2, str(OutputError(error.strerror or str(error), where=error.filename, todo=todo))


def _leave(code: int) -> NoReturn:
    """End the process at once: taking everything apart piece by piece costs a tenth of a run, for nothing.

    All that must be finished was: files are closed, workers have ended; only the CRDS client is still there.
    """
    if "mirific.references.crds_process" in sys.modules:
        from mirific.references.crds_process import end_clients

        end_clients(wait=False)
    if "logging" in sys.modules:
        sys.modules["logging"].shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
