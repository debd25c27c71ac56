"""What is in the data folder belongs to the node and its group, also what an earlier version has left wider open; and
the node can write it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from urllib.parse import unquote

from medserver import host, lock, modes
from medserver.backups.workspace import DIRECTORY as UNFINISHED
from medserver.config import Config
from medserver.errors import IndexFailure
from medserver.log import Event
from medserver.node import TRANSCODED
from medserver.work import alone

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


def require_writable(config: Config) -> None:
    """Refuse an index in files that this user cannot write: every object would be refused for it.

    Raises
    ------
    IndexFailure
        One of them belongs to somebody else, or is for reading only.
    """
    index = _sqlite_path(config)
    if index is None:
        return
    for path in (config.node.data / lock.FILE_NAME, *(Path(f"{index}{suffix}") for suffix in ("", "-wal", "-shm"))):
        if not os.path.lexists(path) or os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            continue
        user, owner = modes.user(), modes.owner_of(path)
        command = f"chmod u+rw {path}" if path.stat().st_uid == os.geteuid() else f"chown -R {user}: {config.node.data}"
        raise IndexFailure(f"cannot write {path}: it belongs to {owner} and this is {user}; run: {command}")


def _is_own(name: str, config: Config) -> bool:
    """Tell whether something in the data folder is the node's: locks, UUID, index, volume, or beside them."""
    if name in (lock.FILE_NAME, alone.FILE_NAME, host.FILE_NAME, UNFINISHED, TRANSCODED):
        return True
    if any(volume.path is not None and volume.path == config.node.data / name for volume in config.volumes):
        return True
    index = _sqlite_path(config)
    return index is not None and name.startswith(index.name)


def _sqlite_path(config: Config) -> Path | None:
    """Return the file of the index; None if it is in another database."""
    url = config.index.url
    return config.node.data / unquote(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
