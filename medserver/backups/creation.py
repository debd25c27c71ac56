"""A backup is made: dumped, verified, compressed, written, read back, and only then entered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from medserver.backups.manifest import DUMP_SUFFIX, Manifest, new_name
from medserver.backups.packing import Packing, read_back
from medserver.backups.workspace import workspace
from medserver.crash import crash_point
from medserver.errors import DamagedObject, OutOfResources, StoreFailure
from medserver.index import DumpContent
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import wait_until_writable
from medserver.store import Volume

logger = logging.getLogger(__name__)


def create_backup(node: Node, volume: Volume, should_stop: Callable[[], bool] = lambda: False) -> Manifest | None:
    """Make a backup of the index on a volume, while the node works.

    The backup is there when its manifest is: a process that dies before leaves nothing that counts.

    Parameters
    ----------
    node : Node
        Whose index.
    volume : Volume
        Where it goes.
    should_stop : callable
        Tells whether to give up.

    Returns
    -------
    Manifest or None
        None if it was told to stop before it began.

    Raises
    ------
    DamagedObject
        What was dumped or written is not what it should be.
    OutOfResources, StoreFailure, IndexFailure
        There is no space, or the volume or the index does not work.
    Interrupted
        It was told to stop.
    """
    if not wait_until_writable(volume, should_stop):
        return None
    made_at = node.clock()
    with workspace(node.config.current, node.index.dump_size_bytes()) as dump:
        content = node.index.dump(dump, should_stop)
        crash_point("index dumped")
        if node.index.backend.examine_dump(dump) != content:
            raise DamagedObject("the dump of the index does not hold what the index holds")
        manifest = _write(volume, dump, made_at, node.index.backend.name, content)
    logger.info(Event("backup", volume=volume.name, backup=manifest.name, size_bytes=manifest.size_bytes))
    return manifest


def _write(volume: Volume, dump: Path, made_at: datetime, database: str, content: DumpContent) -> Manifest:
    """Write the dump, read it back, and write the manifest last."""
    name, packing = new_name(made_at), Packing(dump)
    volume.backups.put(name + DUMP_SUFFIX, packing.chunks())
    crash_point("backup written")
    manifest = Manifest(
        name=name,
        made_at=made_at,
        database=database,
        migrations=content.migrations,
        rows=content.rows,
        size_bytes=packing.size_bytes,
        dump_size_bytes=packing.dump_size_bytes,
        digest=packing.digest,
    )
    try:
        read_back(volume, manifest)
        volume.backups.put(manifest.manifest_name, [manifest.to_bytes()])
    except (StoreFailure, OutOfResources):
        with suppress(StoreFailure):
            volume.backups.delete(manifest.dump_name)
        raise
    crash_point("backup complete")
    return manifest
