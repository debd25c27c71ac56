"""What data sets that are read one after the other have in common: runs of elements that are compared, and not read.

The instances of a series differ in some ten elements of hundred. What an element says depends on its own bytes alone:
whole elements one behind the other say the same wherever they stand.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

READ_MAX = 8
"""So many elements may be read, and one for each run, before runs are looked for again."""

RUNS_MAX = 64
ELEMENT_BYTES_MAX = 1024
"""A longer element ends a run: what is kept is kept for each thread."""

Values = dict[int, tuple[str, bytes]]
Element = tuple[int, int, int, "tuple[str, bytes] | None"]
"""Tag, where it begins and where it ends, and its VR and value if it is wanted."""


class Run(NamedTuple):
    """Elements one behind the other: their bytes, and the wanted values in them."""

    raw: bytes
    values: Values


class Runs:
    """What is remembered, by one thread, of data sets in which the same tags are wanted.

    Attributes
    ----------
    by_tag : dict of int to Run
        Tag of the first element -> run.
    """

    def __init__(self) -> None:
        self.by_tag: dict[int, Run] = {}
        self._kind: Hashable = None
        self._before: dict[int, bytes] = {}

    def begin(self, kind: Hashable) -> dict[int, Run]:
        """Return the runs of data sets that are encoded like this; others are forgotten."""
        if kind != self._kind:
            self.by_tag, self._kind, self._before = {}, kind, {}
        return self.by_tag

    def learn(self, buffer: bytes, read: Sequence[Element]) -> None:
        """Find runs, if many elements were read one by one: those that are as they were in the data set before.

        Parameters
        ----------
        buffer : bytes
            The data set.
        read : sequence of Element
            The elements that were in no run.
        """
        if len(read) <= len(self.by_tag) + READ_MAX:
            return
        if len(self.by_tag) > RUNS_MAX:
            self.by_tag.clear()
        before, self._before = self._before, {}
        end_of_run = -1
        for tag, begin, end, value in read:
            if end > len(buffer) or end - begin > ELEMENT_BYTES_MAX:
                continue
            raw = self._before[tag] = buffer[begin:end]
            if before.get(tag) != raw:
                continue
            if begin != end_of_run:
                first, run = tag, Run(b"", {})
            if value is not None:
                run.values[tag] = value
            self.by_tag[first] = run = Run(run.raw + raw, run.values)
            end_of_run = end
