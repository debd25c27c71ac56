"""Many jobs are added or changed page by page: no transaction holds its locks for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

PAGE_JOBS = 500


def in_pages(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield jobs, or their numbers, a page at a time; what they come from is read on behind each page."""
    left = iter(items)
    while page := list(islice(left, PAGE_JOBS)):
        yield page
