"""The process that places what the others receive, when the machine has time for it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial

from medserver.config import ConfigFile
from medserver.errors import MedserverError
from medserver.log import Event
from medserver.node import open_node
from medserver.server.signals import STOP_SIGNALS, wait_for_signal
from medserver.store import Volume

INTERVAL_S = 0.25
RETRY_S = 5.0
REMOVE_UNFINISHED_INTERVAL_S = 60.0
NICENESS = 10

logger = logging.getLogger(__name__)


def run(config_file: ConfigFile, supervisor: int) -> None:
    """Place what is received until SIGTERM or SIGINT, or until the supervisor is gone, and then the rest.

    The stop signals must be blocked when this is called.

    Parameters
    ----------
    supervisor : int
        Its process ID: it may be gone before this process looks for the first time.
    """
    os.nice(NICENESS)
    node = open_node(config_file)
    node.watch.start()
    placer = Placer(list(node.volumes.values()), config_file.current.node.processes)
    placer.place()
    while wait_for_signal(STOP_SIGNALS, INTERVAL_S) is None and os.getppid() == supervisor:
        placer.place()
        placer.remove_unfinished_now_and_then()
    placer.place(finally_=True)
    placer.remove_unfinished()  # the others have ended: what is there belongs to nobody
    node.close()


class Placer:
    """Tends volumes, and says so when one cannot be tended.

    Parameters
    ----------
    volumes : list of Volume
        What to tend, the primary one first.
    processes : int
        How many processes receive.
    """

    def __init__(self, volumes: list[Volume], processes: int) -> None:
        self._volumes = volumes
        self._processes = processes
        self._failing: set[str] = set()
        self._next_at: dict[str, float] = {}
        self._remove_unfinished_at = 0.0

    def place(self, finally_: bool = False) -> None:
        """Tend every volume, but for those where that has just failed.

        Parameters
        ----------
        finally_ : bool
            Whether this is the last time.
        """
        for volume in self._volumes:
            if finally_:
                self._try(volume, volume.place_all)
            elif time.monotonic() >= self._next_at.get(volume.name, 0.0):
                self._maintain(volume)

    def _maintain(self, volume: Volume) -> None:
        spares = self._processes if volume is self._volumes[0] else 0  # only the primary is received into
        if not self._try(volume, partial(volume.maintain, spares)):
            self._next_at[volume.name] = time.monotonic() + RETRY_S
        elif volume.name in self._failing:
            logger.info(Event("volume", volume=volume.name, state="works again"))
            self._failing.discard(volume.name)

    def remove_unfinished_now_and_then(self) -> None:
        """Remove what processes left that have died since the last time, where nothing is received at the moment."""
        if time.monotonic() >= self._remove_unfinished_at and not self._volumes[0].is_receiving():
            self._remove_unfinished_at = time.monotonic() + REMOVE_UNFINISHED_INTERVAL_S
            self.remove_unfinished()

    def remove_unfinished(self) -> None:
        """Remove what dead processes left half written."""
        for volume in self._volumes:
            self._try(volume, volume.remove_unfinished)

    def _try(self, volume: Volume, work: Callable[[], object]) -> bool:
        """Do something about a volume; False if it failed, which is logged when it begins."""
        try:
            work()
        except MedserverError as error:
            if volume.name not in self._failing:
                logger.error(Event("volume", volume=volume.name, problem=str(error)))
                self._failing.add(volume.name)
            return False
        return True
