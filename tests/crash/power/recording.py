"""What a process did to a folder, and the power cuts that could have ended it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tests.crash.power.disk import Disk
from tests.crash.power.log import Log, Record, read
from tests.crash.power.recorder import record


@dataclass(frozen=True)
class Cut:
    """A power cut.

    Parameters
    ----------
    number : int
        Which one, from 0.
    folder : Path
        What it left.
    acknowledged : tuple of str
        What had been acknowledged before it.
    what : str
        Which one it is, for a message: seed and moment.
    """

    number: int
    folder: Path
    acknowledged: tuple[str, ...]
    what: str


class Recording:
    """A folder as it was, and the log of what is done to it.

    Parameters
    ----------
    folder : Path
        Where; what is done below `data` counts. The log lies in it too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "power.log"
        self.disk = Disk(folder)
        self._marks = Log(self.log)

    def acknowledge(self, what: str) -> None:
        """Note that something was acknowledged; by any process, in the order of what they do."""
        self._marks.add("mark", what)

    def run(self, work: Callable[[Recording], object]) -> Recording:
        """Do it in a process that is killed at its end."""
        process = multiprocessing.get_context("fork").Process(target=self._run, args=(work,))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, f"exit code {process.exitcode}"
        return self

    def _run(self, work: Callable[[Recording], object]) -> None:
        record(self.log, self.folder)
        work(self)
        self.die()

    @staticmethod
    def die() -> None:
        """End this process without anything that is done in order."""
        os.kill(os.getpid(), signal.SIGKILL)

    def end(self) -> None:
        """Note that what follows does not count.

        Processes are killed one after the other, and what one had done and not noted another may still have seen.
        """
        self._marks.add("end")

    def finish(self) -> Disk:
        """Play all of it, and return the disk as it is then."""
        self.disk.play(self._records())
        return self.disk

    def cuts(self, count: int, seed: int, *, at_the_end: int = 0) -> Iterator[Cut]:
        """Play it, and cut the power at random moments.

        Parameters
        ----------
        count : int
            How many times in between.
        seed : int
            Decides on the moments, and on what each leaves.
        at_the_end : int
            How many times behind all of it.

        Yields
        ------
        Cut
            Its folder is new each time.
        """
        records = list(self._records())
        chance = random.Random(seed)
        moments = sorted(chance.randrange(len(records)) for _ in range(count)) + [len(records)] * at_the_end
        acknowledged: list[str] = []
        played = 0
        for number, moment in enumerate(moments):
            acknowledged += self.disk.play(records[played:moment])
            played = moment
            target = self.folder / f"cut-{number}"
            self.disk.cut(target, chance)
            yield Cut(number, target, tuple(acknowledged), f"seed {seed}, cut {number} at {moment} of {len(records)}")

    def _records(self) -> Iterator[Record]:
        return takewhile(lambda record: record[0] != "end", read(self.log))
