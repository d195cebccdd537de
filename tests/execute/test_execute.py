"""Where work runs: the results come in order, whoever did the work."""

from __future__ import annotations

import threading
import time

import pytest

from mirific.errors import InputError
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
