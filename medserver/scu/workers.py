"""Several senders that work off one list, each in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing


class Sent(NamedTuple):
    """What became of one instance.

    Parameters
    ----------
    position : int
        Its position in the list, from 0.
    code : int
        The status of the remote AE, or 0x0110 if it could not be asked.
    comment : str
        What it says about it.
    """

    position: int
    code: int
    comment: str


class SendingWorkers:
    """Sends a list of instances to one remote AE over several associations at once.

    Parameters
    ----------
    senders : sequence of StorageSender
        One for each association; the caller opens and closes them.
    """

    def __init__(self, senders: Sequence[StorageSender]) -> None:
        self._senders = senders
        self._stopping = threading.Event()

    def send(self, outgoings: Sequence[Outgoing]) -> Iterator[Sent]:
        """Send all instances and yield what became of each, in the order in which they are done.

        When the iterator is closed early, each sender still finishes the instance that it is sending.
        """
        positions: queue.SimpleQueue[int] = queue.SimpleQueue()
        for position in range(len(outgoings)):
            positions.put(position)
        done: queue.SimpleQueue[Sent | BaseException] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=self._work, args=(sender, outgoings, positions, done), name="sender")
            for sender in self._senders
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in outgoings:
                outcome = done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _work(
        self,
        sender: StorageSender,
        outgoings: Sequence[Outgoing],
        positions: queue.SimpleQueue[int],
        done: queue.SimpleQueue[Sent | BaseException],
    ) -> None:
        """Send what is still in the queue; a bug in here ends them all."""
        try:
            while not self._stopping.is_set():
                try:
                    position = positions.get_nowait()
                except queue.Empty:
                    return
                code, comment = sender.send(outgoings[position])
                done.put(Sent(position, code, comment))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            done.put(error)
