"""What is in the data folder belongs to the node and its group, also what an earlier version has left wider open."""

from __future__ import annotations

import logging
import os
from pathlib import PurePosixPath
from urllib.parse import unquote

from medserver import host, lock, modes
from medserver.backups.workspace import DIRECTORY as UNFINISHED
from medserver.config import Config
from medserver.log import Event
from medserver.node import TRANSCODED

_SQLITE = "sqlite:///"

logger = logging.getLogger(__name__)


def narrow_data(config: Config) -> None:
    """Narrow what is the node's own in its data folder; the folder itself only if nothing else is in it."""
    data = config.node.data
    try:
        names = os.listdir(data)
        own = [name for name in names if _is_own(name, config)]
        narrowed = [name for name in own if modes.narrow(data / name)]
        if len(own) == len(names) and modes.narrow(data):
            narrowed.append(".")
    except OSError as error:
        logger.warning(Event("permissions", problem=f"{data}: {error.strerror}"))
        return
    if narrowed:
        logger.warning(Event("permissions", folder=str(data), closed_to_others=", ".join(sorted(narrowed))))


def _is_own(name: str, config: Config) -> bool:
    """Tell whether something in the data folder is the node's: lock, UUID, index, volume, or beside them."""
    if name in (lock.FILE_NAME, host.FILE_NAME, UNFINISHED, TRANSCODED):
        return True
    if any(volume.path is not None and volume.path == config.node.data / name for volume in config.volumes):
        return True
    url = config.index.url
    index = PurePosixPath(unquote(url.removeprefix(_SQLITE))).name if url.startswith(_SQLITE) else ""
    return bool(index) and name.startswith(index)
