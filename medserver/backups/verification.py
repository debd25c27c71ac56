"""A backup is read to its end, unpacked and looked through, as for a restore."""

from __future__ import annotations

from pathlib import Path

from medserver.backups.catalog import Backup
from medserver.backups.packing import unpack
from medserver.backups.workspace import workspace
from medserver.config import Config
from medserver.errors import BadUsage, DamagedObject
from medserver.index import open_backend
from medserver.index.database.backend import Backend


def verify_backup(config: Config, backup: Backup) -> None:
    """Verify a backup.

    Raises
    ------
    DamagedObject
        It is not what was written.
    BadUsage
        It is one of another database than that of the configuration, whose programs may not even be installed.
    OutOfResources, StoreFailure
        It cannot be read or unpacked.
    """
    backend = open_backend(config.index.url, config.node.data)
    with workspace(config, backup.require_manifest().dump_size_bytes) as file:
        unpack_verified(backend, backup, file)


def unpack_verified(backend: Backend, backup: Backup, target: Path) -> None:
    """Unpack a backup into a file, and look through that. Raises as `verify_backup` does."""
    manifest = backup.require_manifest()
    if manifest.database != backend.name:
        raise BadUsage(f"backup {backup.name} is one of {manifest.database}, the index is on {backend.name}")
    unpack(backup.volume, manifest, target)
    try:
        content = backend.examine_dump(target)
    except DamagedObject as error:
        raise DamagedObject(f"backup {backup.name}: {error}") from error
    if content != manifest.content:
        raise DamagedObject(f"backup {backup.name} does not hold what its manifest says")
