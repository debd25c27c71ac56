"""Worker processes that the tests of transcoding share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from medserver.codecs import Workers


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Return two workers with the usual limits."""
    with Workers(2, memory_max_bytes=2**30, time_max_s=60.0) as workers:
        yield workers
