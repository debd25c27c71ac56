"""Peers that say nothing, or next to nothing."""

from __future__ import annotations

from contextlib import ExitStack

from tests.attacks import raw
from tests.attacks.siege import Siege

SILENT = 500


def test_500_silent_connections(siege: Siege) -> None:
    """They cost each other their places, and nobody else."""

    def attack() -> None:
        with ExitStack() as stack:
            for _ in range(SILENT):
                stack.enter_context(raw.connect(siege.node.address))

    siege.withstands(attack)
