"""The next object is read and verified while the one before it is sent and the peer still works on it.

To compute the digest of a CT image takes as long as to send it. A thread does it for the next object meanwhile, and
the machine has another core for that. For a small object it is not worth to wake a thread: that is read between
sending the one before and the peer's answer, when the thread of the association would only wait.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from itertools import islice
from types import TracebackType
from typing import BinaryIO

from medserver.archive.fetch import READ_AT_ONCE_MAX_BYTES, open_data_set
from medserver.errors import MedserverError
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.scu.storage import Outgoing

THREADED_MIN_BYTES = 128 * 1024
"""From this size on the digest takes longer than waking the thread that computes it."""

THREADS_MAX = 256
"""There is one for each object that is read ahead at a time, and it stays for the next ones: to start a thread takes as
long as to read an object."""


class ReadAhead:
    """Instances one after the other, each opened while the one before it is sent.

    Used by one thread, in a ``with`` block. It holds two objects in memory.

    Parameters
    ----------
    node : Node
        Where they are stored.
    instances : iterable of StoredCopy
        In the order in which they are sent.
    """

    def __init__(self, node: Node, instances: Iterable[StoredCopy]) -> None:
        self._node = node
        self._instances = instances
        self._later: deque[StoredCopy] = deque()
        self._rest = iter(())
        self._opened: tuple[StoredCopy, Callable[[], BinaryIO]] | None = None
        self._opening: Future[BinaryIO] | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opening is not None and not self._opening.cancel():
            wait([self._opening])

    def __iter__(self) -> Iterator[StoredCopy]:
        self._rest = iter(self._instances)
        while self.following(1):
            instance = self._later.popleft()
            self.following(1)
            yield instance

    def following(self, count: int) -> list[StoredCopy]:
        """Return so many of the instances that come next, or all that there are."""
        self._later.extend(islice(self._rest, max(count - len(self._later), 0)))
        return list(islice(self._later, count))

    @property
    def _following(self) -> StoredCopy | None:
        return self._later[0] if self._later else None

    def outgoing(self, instance: StoredCopy) -> Outgoing:
        """Return the instance whose turn it is as something to send, which knows those that come next."""
        return Outgoing(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            instance.size_bytes,
            lambda: self.open(instance),
            self.prepare,
            instance.digest,
            lambda count: [self._out_of_turn(each) for each in self.following(count)],
        )

    def _out_of_turn(self, instance: StoredCopy) -> Outgoing:
        """Return an instance as something to prepare, by any thread: it is opened beside the one that is sent."""
        return Outgoing(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            instance.size_bytes,
            lambda: open_data_set(self._node, instance),
            digest=instance.digest,
        )

    def prepare(self) -> None:
        """Open the instance that follows, if it is a small one; an error shows when it is needed."""
        following = self._following
        if self._opened is None and following is not None and following.size_bytes < THREADED_MIN_BYTES:
            try:
                data_set = open_data_set(self._node, following)
            except MedserverError:
                return
            self._opened = following, lambda: data_set

    def open(self, instance: StoredCopy) -> BinaryIO:
        """Open an instance as `open_data_set` does; it may have been opened before."""
        opened, self._opened = self._opened, None
        if opened is None or opened[0] is not instance:
            data_set = open_data_set(self._node, instance)
        else:
            data_set = opened[1]()
        self._begin()
        return data_set

    def _begin(self) -> None:
        """Have the thread open the instance that follows, if it is neither small nor one that is read as a stream."""
        following = self._following
        if following is not None and THREADED_MIN_BYTES <= following.size_bytes < READ_AT_ONCE_MAX_BYTES:
            self._opening = _threads().submit(open_data_set, self._node, following)
            self._opened = following, self._opening.result


@cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads of this process that read ahead."""
    return ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="read ahead")


os.register_at_fork(after_in_child=_threads.cache_clear)
