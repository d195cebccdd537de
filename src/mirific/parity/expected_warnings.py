"""What the official packages warn of where they are called as they are meant to be."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["expected_warnings"]


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Keep back the warnings that NaN pixels and empty regions raise inside astropy and photutils."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(invalid value|divide by zero|All-NaN|Mean of empty).*")
        warnings.filterwarnings("ignore", message=".*contains invalid values.*|.*nonfinite.*|.*non-finite.*")
        warnings.filterwarnings("ignore", message="No sources were found|Sources were found, but none pass")
        warnings.filterwarnings("ignore", message=".*deblend.*")
        yield
