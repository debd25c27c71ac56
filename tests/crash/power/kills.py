"""A campaign of kills with the load of power cuts: it needs no recording, so the index may be on any database."""

from __future__ import annotations

from tests.crash.power.campaign import PowerCampaign


class Marks:
    """What was asked and answered, see `load.Witness`."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def acknowledge(self, what: str) -> None:
        """Note a mark."""
        self.all.append(what)

    def end(self) -> None:
        """What is answered by a node that is being killed counts: no answer is lost with it."""


class KillCampaign(PowerCampaign):
    """Kills one node again and again."""

    def round(self, cuts: int = 0) -> None:
        """Load the node, kill it, and look for what it is to have; nothing is cut."""
        witness = Marks()
        point = self._load_and_kill(witness, {})
        self.ledger = self.ledger.after(witness.all)
        with self._opened(self.node.data) as (node, clock):
            what = f"round {self.kills}, crash point {point or 'none'}"
            self.ledger.check(node, clock, what, to_the_end=False, damaged=self._damaged)
        self._damage_sometimes()
