"""The periodic job `commit_prune`: transactions that were finished long ago are forgotten."""

from __future__ import annotations

from datetime import timedelta

from medserver.index.jobs.batch import Batch
from medserver.node import Node

KEPT_DAYS = 90
"""A Transaction UID may not be used again (PS3.4 J.3.3.1.2): so long it is noticed if it is."""


def prune_commitments(node: Node, batch: Batch) -> None:
    """Delete what was finished more than `KEPT_DAYS` ago."""
    node.index.commitments.prune(node.clock() - timedelta(days=KEPT_DAYS))
