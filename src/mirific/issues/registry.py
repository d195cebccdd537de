"""The known issues, registered: an explicit tuple in the order of the article."""

from __future__ import annotations

from mirific.issues import (
    bad_pixels,
    edge_brightening,
    fgs_offset,
    knife_edge,
    lyot_offset,
    outlier_overflagging,
    persistence,
    residual_background,
    scar,
    showers,
    throughput_loss,
    tile_misalignment,
    tree_rings,
)
from mirific.issues.known_issue import Issue

__all__ = ["ISSUES"]

ISSUES: tuple[Issue, ...] = (
    scar.ISSUE,
    bad_pixels.ISSUE,
    showers.ISSUE,
    persistence.ISSUE,
    knife_edge.ISSUE,
    lyot_offset.ISSUE,
    edge_brightening.ISSUE,
    tree_rings.ISSUE,
    residual_background.ISSUE,
    throughput_loss.ISSUE,
    fgs_offset.ISSUE,
    tile_misalignment.ISSUE,
    outlier_overflagging.ISSUE,
)
