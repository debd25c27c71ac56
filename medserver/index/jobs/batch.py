"""The jobs that a function is given: of one kind and destination, with one lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from medserver.index import Job


class Batch(Sequence[Job]):
    """Jobs that were claimed together.

    Parameters
    ----------
    jobs : sequence of Job
        At least one.
    should_stop : callable
        Tells whether the worker is asked to end.
    gives_way : callable
        Tells whether its turn is over.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        should_stop: Callable[[], bool] = lambda: False,
        gives_way: Callable[[], bool] = lambda: False,
    ) -> None:
        self._jobs = tuple(jobs)
        self._should_stop = should_stop
        self._gives_way = gives_way

    @property
    def should_stop(self) -> bool:
        """Whether the worker is asked to end: what can be left for later is better left now."""
        return self._should_stop()

    @property
    def gives_way(self) -> bool:
        """Whether others wait for a turn of theirs: what is not begun is better left to the next batch."""
        return self._gives_way()

    @property
    def destination(self) -> str:
        """What the jobs have in common besides their kind."""
        return self._jobs[0].destination

    @overload
    def __getitem__(self, index: int) -> Job: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Job]: ...

    def __getitem__(self, index: int | slice) -> Job | Sequence[Job]:
        """Return a job, or some."""
        return self._jobs[index]

    def __len__(self) -> int:
        return len(self._jobs)
