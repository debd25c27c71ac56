"""An index is saved before a migration changes it: who goes back to the version before has it as it was."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from medserver import modes
from medserver.errors import DamagedObject, IndexFailure, MedserverError, OutOfResources
from medserver.index.database.backend import Backend

UNFINISHED = ".unfinished"

_SIZES = 3
"""How often the room is needed that an index takes where it lies on the same disk: for the dump, for the log of the
migration, and for tables that are made anew beside the old ones."""

logger = logging.getLogger(__name__)


def save(backend: Backend, base: Path, migration: str) -> Path:
    """Write a dump of an index to a file of its own, and read it.

    Parameters
    ----------
    backend : Backend
        The database. Nobody else writes.
    base : Path
        The data folder.
    migration : str
        The first migration that will change the index; the file is named after it.

    Returns
    -------
    Path
        The file. One that a migration has left which was given up is replaced.

    Raises
    ------
    OutOfResources, IndexFailure
        There is no room, or the dump cannot be made or is not what the index is.
    """
    target = backend.saved(base, f"before_{migration}")
    try:
        _require_space(target.parent, backend.dump_size_bytes() * (_SIZES if backend.name == "sqlite" else 1))
        _write(backend, target)
    except OSError as error:
        raise OutOfResources(_refusal(target, error.strerror or str(error))) from error
    except MedserverError as error:
        raise type(error)(_refusal(target, str(error))) from error
    except backend.errors as error:
        failure = backend.failure(error)
        raise type(failure)(_refusal(target, str(failure))) from error
    logger.warning("the index is saved as %s, and migrated from %s on", target, migration)
    return target


def _refusal(target: Path, reason: str) -> str:
    return f"the index is not migrated, for it cannot be saved as {target} before: {reason}"


def _require_space(folder: Path, size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise OutOfResources(f"{size_bytes >> 20} MiB are needed, and {free_bytes >> 20} MiB are free")


def _write(backend: Backend, target: Path) -> None:
    """Write the dump beside its place, where a process that is killed leaves it to the next, and put it there."""
    unfinished = target.with_name(f"{target.name}{UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    modes.place_empty(unfinished)
    try:
        content = backend.dump(unfinished, lambda: False)
        if backend.examine_dump(unfinished, quickly=True) != content:
            raise IndexFailure("the dump does not hold what the index holds")
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    except DamagedObject as error:
        raise IndexFailure(str(error)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    modes.flush_directory(target.parent)
