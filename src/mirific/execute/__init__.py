"""Where work runs: an injected ``map``, threads here or a Dask cluster there.

An executor is a context manager with one method, ``map(function, items)``, that yields the results in the
order of the items. Nothing else in the package knows how work is spread (emcee: src/emcee/ensemble.py takes
a pool in the same way).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, TypeVar

from mirific.errors import InputError

__all__ = ["Cluster", "Executor", "Serial", "Threads", "available_cores"]

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


class Cluster:
    """Workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        If Dask is not installed or nobody answers at the address.
    """

    def __init__(self, address: str) -> None:
        try:
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
        """Apply ``function`` to the items on the cluster; functions and items must be picklable."""
        futures = self._client.map(function, list(items), pure=False)
        return (future.result() for future in futures)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
