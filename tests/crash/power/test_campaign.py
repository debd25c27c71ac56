"""The short form of `scripts/crash --cuts`."""

from __future__ import annotations

from tests.crash.power.campaign import PowerCampaign
from tests.crash.workers import OPTIONS

SEED = 20261129


def test_a_node_whose_power_is_cut(make_node) -> None:
    """Slow: a node is loaded, killed and started three times, and what it is to have is looked for nine times."""
    campaign = PowerCampaign(make_node(options=OPTIONS), SEED)
    for _ in range(2):
        campaign.round(3)
    campaign.finish()
    assert campaign.ledger.count and campaign.ledger.steps
