"""The places where objects rest: immutable files, durable before anybody is told that they are stored.

Start with `volume` (the contract that every volume keeps), then `directory` (a volume on a local disk).
`paths` is the only builder of paths. What the objects mean is not known here: see `archive`.
"""

from __future__ import annotations

from medserver.store.condition import AWAY, FOREIGN, FULL, READ_ONLY, READY, Condition
from medserver.store.directory.volume import DirectoryVolume
from medserver.store.marker import Marker
from medserver.store.notes import DECISIONS, NOTES, PERFORMED_STEPS, TOMBSTONES
from medserver.store.shelf import Shelf
from medserver.store.volume import ObjectStat, ObjectWriter, StoredObject, Volume

__all__ = [
    "AWAY",
    "DECISIONS",
    "NOTES",
    "FOREIGN",
    "FULL",
    "PERFORMED_STEPS",
    "READY",
    "READ_ONLY",
    "TOMBSTONES",
    "Condition",
    "DirectoryVolume",
    "Marker",
    "ObjectStat",
    "ObjectWriter",
    "Shelf",
    "StoredObject",
    "Volume",
]
