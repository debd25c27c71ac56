"""Room for dumps that are being made or unpacked, in the data folder; what a dead process left there is removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medserver import modes
from medserver.config import Config
from medserver.store.directory.incoming import Incoming
from medserver.store.failures import translating
from medserver.store.files import Files

DIRECTORY = "unfinished"


@contextmanager
def workspace(config: Config, size_bytes: int) -> Iterator[Path]:
    """Give an empty file for a dump, which is gone afterwards.

    Parameters
    ----------
    config : Config
        Where the data folder is, and how much space is to be left free on its disk: the index may lie there.
    size_bytes : int
        How large the dump will be.

    Raises
    ------
    OutOfResources
        There is no space for it.
    StoreFailure
        The folder cannot be written.
    """
    data = config.node.data
    files = Files(config.primary_volume.free_min_bytes)
    room = Incoming(f"{data}/{DIRECTORY}", files)
    with translating(f"make room for a dump of the index in {data}"):
        modes.make_directories(data)
        room.remove_unfinished()
        files.require_space(str(data), size_bytes)
        descriptor, path = room.create()
        os.close(descriptor)
    try:
        yield Path(path)
    finally:
        room.close()
