"""What was not copied before it is computed with is compared with its digests meanwhile.

========  ==============================  ==========================================================================
inputs    event                           becomes
========  ==============================  ==========================================================================
linked    all are what was stored         compared: what was made of them may come in
linked    one is not, or cannot be read   nothing: the computation is stopped, and begun again with copies, of which
                                          each was compared before, and another one is looked for
========  ==============================  ==========================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from medserver import archive
from medserver.errors import CannotProcess, CannotTranscode, StoreFailure, WorkStopped
from medserver.processing.staging import Linked

COMPARED_AT_ONCE = 2
"""So many objects are compared at a time, while others compute."""


class NotAsStored(Exception):
    """What is computed with is not what was stored."""


class Comparison:
    """Compares objects in threads. To be used in a ``with`` block, at whose end it ends.

    Parameters
    ----------
    linked : sequence of Linked
        Which ones.
    unless : callable
        Tells whether nobody wants it any longer. Threads share it.
    """

    def __init__(self, linked: Sequence[Linked], unless: Callable[[], bool]) -> None:
        self._unless = unless
        self._failed = threading.Event()
        self._pool = ThreadPoolExecutor(COMPARED_AT_ONCE)
        self._compared: list[Future[None]] = [self._pool.submit(self._compare, one) for one in linked]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._failed.set()
        self._pool.shutdown(cancel_futures=True)

    @property
    def has_failed(self) -> bool:
        """Whether one is not what was stored, so that what is computed is of no use."""
        return self._failed.is_set()

    def wait(self) -> None:
        """Wait until all are compared.

        Raises
        ------
        NotAsStored
            One is not what was stored, or cannot be read.
        WorkStopped
            Nobody wants it any longer.
        """
        for each in self._compared:
            each.result()

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Make what is computed in the block count only if all were as stored, also an error; raises as `wait`."""
        try:
            yield
        except (CannotProcess, CannotTranscode, WorkStopped):
            self.wait()
            raise
        self.wait()

    def _compare(self, linked: Linked) -> None:
        self._check_wanted()
        try:
            archive.compare_link(*linked, self._check_wanted)
        except StoreFailure as error:
            self._failed.set()
            raise NotAsStored(str(error)) from error

    def _check_wanted(self) -> None:
        if self._failed.is_set():
            raise NotAsStored("another one is not what was stored")
        if self._unless():
            raise WorkStopped("nobody wants it any longer")
