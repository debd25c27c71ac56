"""Jobs that wait neither for others to go first, nor long for a volume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from medserver.safekeeping import presence


@contextmanager
def hurried() -> Iterator[None]:
    """Have the jobs of this process not wait, and leave the waits as they were to the tests that follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presence, "HOLD_S", 0.1)
        patch.setattr(presence, "LOOK_EVERY_S", 0.01)
        patch.setattr(presence, "QUIET_MAX_S", 0.0)
        yield
