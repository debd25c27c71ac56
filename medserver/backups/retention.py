"""The oldest backups are removed, and what is left of those that were never completed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from medserver.backups.catalog import backups_on
from medserver.backups.manifest import DUMP_SUFFIX, MANIFEST_SUFFIX, Manifest
from medserver.store import Volume

UNFINISHED_KEPT = timedelta(days=1)
"""So old is a dump without a manifest that nobody is writing one for any more."""


def remove_old_backups(volume: Volume, keep: int, newest: Manifest, now: datetime) -> list[str]:
    """Remove the oldest backups on a volume; return their names.

    The manifest goes first: what is interrupted leaves no backup that cannot be restored.

    Parameters
    ----------
    volume : Volume
        Where they lie.
    keep : int
        How many remain, and in any case the one that holds most: an index that was begun anew by mistake must not push
        it out. One with a damaged manifest is not counted, and goes when it is older than those.
    newest : Manifest
        The one that has just been made and verified; it remains in any case.
    now : datetime
        The present.

    Raises
    ------
    StoreFailure
        The volume does not work.
    """
    sound = [backup.manifest for backup in backups_on(volume) if backup.manifest is not None]
    recent = {*sorted(manifest.name for manifest in sound)[-keep:], newest.name}
    kept = recent | {most_complete(sound).name}
    oldest_kept = min(recent)
    names = volume.backups.names()
    complete = {name.removesuffix(MANIFEST_SUFFIX) for name in names if name.endswith(MANIFEST_SUFFIX)}
    removed = sorted(name for name in complete - kept if name < oldest_kept)
    for name in removed:
        volume.backups.delete(name + MANIFEST_SUFFIX)
        volume.backups.delete(name + DUMP_SUFFIX)
    before = f"{now - UNFINISHED_KEPT:%Y%m%dT%H%M%SZ}"
    for file_name in names:
        name = file_name.removesuffix(DUMP_SUFFIX)
        if name != file_name and name not in complete and name < before:
            volume.backups.delete(file_name)
    return removed


def most_complete(manifests: Sequence[Manifest]) -> Manifest:
    """Return the backup that holds most instances, the newest if several do."""
    return max(manifests, key=lambda manifest: (manifest.rows.get("instances", 0), manifest.name))
