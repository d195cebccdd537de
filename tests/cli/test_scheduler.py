"""A whole run on the workers of a real Dask scheduler, in other processes."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import LocalCluster

from mirific import io
from mirific.cli import main


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the cluster, when it goes
def test_a_cluster_makes_the_same_products(raw, cache, tmp_path):
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        there = ["--scheduler", cluster.scheduler_address]
        for name, options in {"there": there, "here": []}.items():
            folder = str(tmp_path / name)
            assert main(["run", str(raw), "-o", folder, "--references", str(cache), "-q", *options]) == 0
    made = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == made
    (mosaic,) = (tmp_path / "here").glob("*_i2d.fits")
    one, other = io.read_mosaic(mosaic), io.read_mosaic(tmp_path / "there" / mosaic.name)
    assert np.array_equal(one.data, other.data, equal_nan=True)
