"""Several things are done side by side, and what comes of them is told as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _End:
    """One of the iterators has ended, or failed with an error."""

    error: BaseException | None


def merged(works: Sequence[Callable[[], Iterator[Item]]]) -> Iterator[Item]:
    """Yield what several iterators yield, each of which runs in a thread of its own.

    Raises
    ------
    Exception
        The first error of one of them, when all have ended and everything has been yielded.
    """
    if len(works) < 2:
        yield from works[0]() if works else ()
        return
    arrived: SimpleQueue[Item | _End] = SimpleQueue()

    def run(work: Callable[[], Iterator[Item]]) -> None:
        error = None
        try:
            for item in work():
                arrived.put(item)
        except BaseException as caught:  # noqa: BLE001 - it is raised where the items are wanted
            error = caught
        arrived.put(_End(error))

    first_error: BaseException | None = None
    with ThreadPoolExecutor(len(works), thread_name_prefix="side by side") as threads:
        for work in works:
            threads.submit(run, work)
        running = len(works)
        while running:
            item = arrived.get()
            if isinstance(item, _End):
                first_error = first_error or item.error
                running -= 1
            else:
                yield item
    if first_error is not None:
        raise first_error
