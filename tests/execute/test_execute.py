"""Where work runs: the results come in order, whoever did the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mirific.errors import InputError, WorkersLost
from mirific.execute import Cluster, Serial, Threads, available_cores


def _slow_square(x):
    time.sleep(0.01 * (x % 3))
    return x * x


@pytest.mark.parametrize("make", [Serial, Threads, lambda: Threads(3)])
def test_results_are_in_the_order_of_the_items(make):
    with make() as executor:
        assert list(executor.map(_slow_square, range(12))) == [x * x for x in range(12)]


def test_threads_really_share_the_work():
    barrier = threading.Barrier(2, timeout=10)
    with Threads(2) as executor:
        assert sorted(executor.map(lambda _: barrier.wait(), range(2))) == [0, 1]


def test_an_error_of_the_work_is_raised_here():
    with Threads(2) as executor, pytest.raises(ZeroDivisionError):
        list(executor.map(lambda x: 1 / x, [1, 0]))


def test_cores_are_counted():
    assert available_cores() >= 1


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    import distributed

    def refuse(address, timeout):
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:1")


def test_a_real_cluster_gives_the_same_results():
    from distributed import LocalCluster

    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster as local, Cluster(local.scheduler_address) as executor:
        assert list(executor.map(_slow_square, range(5))) == [0, 1, 4, 9, 16]


def _deadly(x):
    if x == 1:
        os._exit(9)
    return x


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of connections to who has died
def test_who_dies_of_one_item_does_the_others():
    import dask.config
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0}),
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as local,
        Cluster(local.scheduler_address) as executor,
    ):
        results = executor.map(_deadly, range(4))
        assert next(results) == 0
        with pytest.raises(WorkersLost, match="workers died of it"):
            next(results)
        assert list(results) == [2, 3]


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and one worker, in processes of their own that nobody starts anew."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "dask", "scheduler", "--port", "0", "--no-dashboard", "--host", "127.0.0.1"]
    started = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    first = start(*command, "--scheduler-file", str(file))
    worker = start(
        sys.executable, "-m", "dask", "worker", "--scheduler-file", str(file), "--no-nanny", "--no-dashboard"
    )
    deadline = time.monotonic() + 60
    while not (file.exists() and file.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"], first, worker
    for process in started:
        process.kill()
        process.wait()


def _told(executor: Cluster) -> str:
    """What is said of work that does not end; its first item tells that it has begun."""
    results = executor.map(time.sleep, [0, 300])
    next(results)
    begun.set()
    with pytest.raises(InputError) as caught:
        next(results)
    return str(caught.value)


begun = threading.Event()


@pytest.mark.parametrize(
    ("whose", "number", "words"),
    [
        ("worker", signal.SIGKILL, "no workers, or not to be reached, for 3 s; start workers"),
        ("scheduler", signal.SIGSTOP, "no workers, or not to be reached, for 3 s; start workers"),
        ("scheduler", signal.SIGKILL, "run it again with --resume"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of connections to who has gone
def test_a_cluster_that_is_dead_is_an_error_after_a_stated_time(scheduler, whose, number, words):
    address, first, worker = scheduler
    begun.clear()

    def strike() -> None:
        begun.wait(60)
        time.sleep(1)
        os.kill((first if whose == "scheduler" else worker).pid, number)

    striker = threading.Thread(target=strike)
    striker.start()
    with Cluster(address, patience=3.0) as executor:
        start = time.monotonic()
        said = _told(executor)
        assert time.monotonic() - start < 45
    striker.join()
    assert said.startswith(f"{address}: ") or whose == "scheduler"
    assert words in said


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_work_that_takes_longer_than_the_patience_is_waited_for(scheduler):
    with Cluster(scheduler[0], patience=2.0) as executor:
        assert list(executor.map(time.sleep, [5])) == [None]
