"""The periodic job `commit_prune`: reports that nobody takes are given up, and finished transactions forgotten."""

from __future__ import annotations

from datetime import timedelta

from medserver.index.jobs.batch import Batch
from medserver.node import Node

KEPT_DAYS = 90
"""A Transaction UID may not be used again (PS3.4 J.3.3.1.2): so long it is noticed if it is."""

GIVEN_UP_DAYS = 4
"""The job that reports is dead after three days."""


def prune_commitments(node: Node, batch: Batch) -> None:
    """Give up what was not reported for `GIVEN_UP_DAYS`, and delete what was finished more than `KEPT_DAYS` ago."""
    node.index.commitments.give_up(node.clock() - timedelta(days=GIVEN_UP_DAYS))
    node.index.commitments.prune(node.clock() - timedelta(days=KEPT_DAYS))
