"""The short form of scripts/audit."""

from __future__ import annotations

import random
from pathlib import Path

from tests.trail.campaign import Campaign


def test_kills_lose_no_message(tmp_path: Path) -> None:
    """Slow: the node starts four times."""
    campaign = Campaign(tmp_path, random.Random(3), print)
    try:
        campaign.run(400, 6)
        campaign.check()
    finally:
        campaign.close()
    assert campaign.messages >= 400 and sum(campaign.kills.values()) == 6
