"""Which backups there are, on whichever volume."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from medserver.backups.manifest import MANIFEST_SUFFIX, SIZE_MAX_BYTES, Manifest, read_manifest
from medserver.errors import BadUsage, DamagedObject, OutOfResources, StoreFailure
from medserver.store import Volume

LATEST = "latest"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup and where it lies. `manifest` is None if that is damaged; `problem` says so in one line."""

    name: str
    volume: Volume
    manifest: Manifest | None
    problem: str = ""

    def require_manifest(self) -> Manifest:
        """Return the manifest.

        Raises
        ------
        DamagedObject
            It is damaged.
        """
        if self.manifest is None:
            raise DamagedObject(self.problem)
        return self.manifest


def find_backups(volumes: Iterable[Volume]) -> list[Backup]:
    """Return the backups on volumes, the newest first; a volume that cannot be read is left out, and logged."""
    found: list[Backup] = []
    for volume in volumes:
        try:
            found += backups_on(volume)
        except (StoreFailure, OutOfResources) as error:
            logger.warning("the backups on volume %s are not known: %s", volume.name, error)
    return sorted(found, key=lambda backup: backup.name, reverse=True)


def backups_on(volume: Volume) -> Iterator[Backup]:
    """Yield the backups on a volume, the oldest first.

    Raises
    ------
    StoreFailure
        They cannot be listed.
    """
    for file_name in volume.backups.names():
        name = file_name.removesuffix(MANIFEST_SUFFIX)
        if name == file_name:
            continue
        try:
            with volume.backups.open(file_name) as file:
                yield Backup(name, volume, read_manifest(file.read(SIZE_MAX_BYTES), name))
        except StoreFailure as error:
            yield Backup(name, volume, None, str(error))


def newest_backup_at(volumes: Iterable[Volume]) -> datetime | None:
    """Return when the newest backup was made whose manifest can be read; None if there is none."""
    manifests = (backup.manifest for backup in find_backups(volumes))
    return next((manifest.made_at for manifest in manifests if manifest is not None), None)


def find_backup(volumes: Iterable[Volume], name: str) -> Backup:
    """Return a backup by its name, or the ``latest`` whose manifest can be read.

    Raises
    ------
    BadUsage
        There is none.
    """
    found = find_backups(volumes)
    if name == LATEST:
        found = [backup for backup in found if backup.manifest is not None]
    else:
        found = [backup for backup in found if backup.name == name]
    if not found:
        raise BadUsage("there is no backup" if name == LATEST else f"there is no backup {name}")
    return found[0]
