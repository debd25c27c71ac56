"""The short form of scripts/films."""

from __future__ import annotations

import random
from pathlib import Path

from tests.printing.campaign import Campaign
from tests.printing.power import PowerCampaign


def test_films_outlive_kills(tmp_path: Path) -> None:
    """Slow: a node that starts again and again."""
    campaign = Campaign(tmp_path, random.Random(18), lambda line: None)
    try:
        campaign.run(12, kills=2)
        campaign.check()
    finally:
        campaign.close()
    assert len(campaign.acknowledged) >= 12


def test_films_outlive_power_cuts(tmp_path: Path) -> None:
    """Slow: a node that prints, and prints again behind each cut."""
    campaign = PowerCampaign(tmp_path, random.Random(18), lambda line: None)
    try:
        campaign.round(5)
    finally:
        campaign.close()
    assert campaign.cuts == 6 and campaign.found
