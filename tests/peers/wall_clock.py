"""The wall clock of a process, to be set while it runs; its monotonic clock goes on."""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

from tests.peers import PeerFailed
from tests.peers.node import REPOSITORY

LIBRARY = "faketime/libfaketimeMT.so.1"
DIRECTORIES = ("/usr/lib/*", "/usr/lib", "/usr/local/lib")
_MODULES = (Path(__file__).parent / "true_sleep", REPOSITORY)


class WallClock:
    """Tells the processes that are started with its environment another time of day.

    libfaketime, which is loaded into them, adds to the time what it finds in a file whenever they ask for it.

    Parameters
    ----------
    directory : Path
        Where the file is.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "wall_clock"
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Set the clock so far ahead of the time of the machine; a negative number is behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a process that is to see this clock.

        Raises
        ------
        PeerFailed
            The library is not installed.
        """
        libraries = [path for directory in DIRECTORIES for path in glob(f"{directory}/{LIBRARY}")]
        if not libraries:
            raise PeerFailed(f"{LIBRARY} is not installed")
        return {
            "LD_PRELOAD": libraries[0],
            "PYTHONPATH": os.pathsep.join(map(str, _MODULES)),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
        }
