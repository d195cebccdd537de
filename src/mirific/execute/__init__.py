"""Where work runs: an injected ``map``, threads here or a Dask cluster there.

An executor is a context manager with one method, ``map(function, items)``, that yields the results in the
order of the items. Nothing else in the package knows how work is spread (emcee: src/emcee/ensemble.py takes
a pool in the same way).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, TypeVar

from mirific.errors import InputError, WorkersLost

__all__ = ["PATIENCE", "Cluster", "Executor", "Serial", "Threads", "available_cores"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Anything with an ordered ``map``."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply ``function`` to each item; results in the order of the items."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def available_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Serial:
    """One item after the other, here."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply ``function`` to each item, when its result is asked for."""
        return map(function, items)

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Threads:
    """Threads of this process; the kernels release the interpreter's lock.

    Parameters
    ----------
    workers : int, optional
        How many; by default all cores that this process may use.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or available_cores()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="mirific")

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply ``function`` to the items in several threads.

        Raises
        ------
        MemoryError
            If the system has no room for them.
        """
        try:
            return self._pool.map(function, items)
        except RuntimeError as error:
            raise MemoryError(str(error)) from error

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


#: How long a cluster may be without workers, or its scheduler not to be reached, s.
PATIENCE = 60.0


class Cluster:
    """Workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://host:8786``.
    patience : float, optional
        How long it may have no workers, or not be reached, s; by default :data:`PATIENCE`.

    Raises
    ------
    InputError
        If Dask is not installed or nobody answers at the address.
    """

    def __init__(self, address: str, patience: float | None = None) -> None:
        self._address, self._patience = address, PATIENCE if patience is None else patience
        try:
            import dask.config

            if "logging" not in dask.config.config:
                dask.config.set({"logging": {"distributed": "critical"}})  # what goes wrong, we say
            from distributed import Client
        except ImportError as error:
            raise InputError(
                "Dask is not installed", where="--scheduler", todo="install mirific with its extra 'dask'"
            ) from error
        try:
            self._client: Any = Client(address, timeout="10s")
        except (OSError, ValueError) as error:
            raise InputError("no Dask scheduler answers", where=address, todo="start one, or check it") from error

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply ``function`` to the items on the cluster; functions and items must be picklable.

        Raises
        ------
        InputError
            If there are no workers, or the scheduler cannot be reached, for too long.
        WorkersLost
            If workers died of an item, when its result is asked for; those of the next items can be had all the same.
        """
        futures = self._client.map(function, list(items), pure=False)
        return map(self._result, futures)

    def _result(self, future: Any) -> Any:
        """Wait for a result, as long as there is somebody who works on it."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        silent, look = 0.0, self._patience / 20
        try:
            while not self._is_done(future, look):
                start = time.monotonic()
                # The time is cut into pieces, so that a program that was itself stopped does not blame others for it.
                silent = 0.0 if self._has_workers(look) else silent + look + min(time.monotonic() - start, look)
                if silent >= self._patience:
                    raise InputError(
                        f"no workers, or not to be reached, for {self._patience:g} s",
                        where=self._address,
                        todo="start workers, or another scheduler, and run it again with --resume",
                    )
            return future.result()
        except KilledWorker as error:
            what = "workers died of it, or of what they did beside it, of memory most likely"
            raise WorkersLost(what, todo="give the workers more memory, and run it again with --resume") from error
        except CancelledError as error:
            todo = "start another one, and run it again with --resume"
            raise InputError("the Dask scheduler has gone", where=self._address, todo=todo) from error

    def _is_done(self, future: Any, seconds: float) -> bool:
        """Whether a result is there, or is within some time."""
        from distributed import wait

        try:
            wait(future, timeout=seconds)
        except TimeoutError:
            return False
        return True

    def _has_workers(self, seconds: float) -> bool:
        """Whether the scheduler can be reached, and has workers."""
        if self._client.status != "running":
            return False
        try:
            return bool(self._client.sync(self._client.scheduler.ncores, callback_timeout=seconds))
        except OSError:  # that it took too long is one
            return False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=2)
