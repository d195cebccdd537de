"""Fixtures of the tests of what is measured: the exposures of stage 3."""

from tests.image3.conftest import aligned, catalog_references, matched

__all__ = ["aligned", "catalog_references", "matched"]
