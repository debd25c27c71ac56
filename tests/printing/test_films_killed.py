"""The short form of scripts/films."""

from __future__ import annotations

import random
from pathlib import Path

from tests.printing.campaign import Campaign


def test_films_outlive_kills(tmp_path: Path) -> None:
    """Slow: a node that starts again and again."""
    campaign = Campaign(tmp_path, random.Random(18), lambda line: None)
    try:
        campaign.run(12, kills=2)
        campaign.check()
    finally:
        campaign.close()
    assert len(campaign.acknowledged) >= 12
