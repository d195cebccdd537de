"""The references of the tests of stage 2 serve here, too."""

from __future__ import annotations

from tests.image2.conftest import reference_paths, references, rng

__all__ = ["reference_paths", "references", "rng"]
