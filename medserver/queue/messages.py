"""What Huey does for the queue: messages in one storage.

Imported by who sends or receives one: Huey takes a while to load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medserver.index import Lane
from medserver.queue import clients  # noqa: F401 - before Huey's own modules

from huey import Huey
from huey.exceptions import HueyException

from medserver.queue.serializer import JsonSerializer

NAME = "medserver"


class Messages(Huey):
    """The messages in one storage.

    Parameters
    ----------
    open_storage : callable
        Takes the name of the queue and returns the storage.

    Raises
    ------
    Exception
        Whatever the storage raises, here as in the methods.
    """

    def __init__(self, open_storage: Callable[[str], Any]) -> None:
        super().__init__(NAME, results=False, serializer=JsonSerializer(), storage_class=open_storage)
        self._run_lane = self.task(name="run_lane")(_run_lane)

    def send(self, lane: Lane) -> None:
        """Say that a lane has new jobs."""
        self.enqueue(self._run_lane.s(*lane))

    def take(self) -> Lane | None:
        """Wait for a message for up to a second; return the lane, None if none came.

        Raises
        ------
        TypeError, ValueError
            It is no message of ours; it has been thrown away.
        """
        try:
            task = self.dequeue()
            return None if task is None else task.execute()
        except HueyException as error:
            raise ValueError(str(error)) from error


def _run_lane(kind: str, destination: str) -> Lane:
    """Be what a message means."""
    return Lane(kind, destination)
