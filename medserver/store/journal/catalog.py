"""Reading what is still in the journal: the records of all segments, whichever process writes them."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from medserver.region import Region
from medserver.store.files import Files
from medserver.store.journal.journal import ACTIVE, SEALED
from medserver.store.journal.segment import Entry, entries


@dataclass(slots=True)
class _Scanned:
    """What is known of a segment."""

    end: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)


class Catalog:
    """The objects in the journal of a volume; may be used by several threads.

    Parameters
    ----------
    directory : str
        Path of the journal.
    files : Files
        The file system.
    """

    def __init__(self, directory: str, files: Files) -> None:
        self._directory = directory
        self._files = files
        self._lock = threading.Lock()
        self._segments: dict[int, _Scanned] = {}

    def open(self, path: str) -> Region | None:
        """Open an object; None if it is not in the journal (any more)."""
        found = self._find(path)
        if found is None:
            return None
        generation, entry = found
        descriptor = self._open_segment(generation)
        if descriptor is None:
            return None
        try:
            is_there = (
                self._files.lock_for_reading(descriptor)
                # Between opening and locking it may have been placed, and be written over from now on.
                and self._is_segment(descriptor, generation)
                and next(entries(descriptor, generation, entry.start), None) == entry
            )
        except BaseException:
            self._files.close(descriptor)
            raise
        if not is_there:  # the segment has been placed, and is or will be used again
            self._files.close(descriptor)
            return None
        return Region(descriptor, entry.offset, entry.meta_size_bytes + entry.size_bytes)

    def size_bytes(self, path: str) -> int | None:
        """Return the size of an object; None if it is not in the journal."""
        found = self._find(path)
        if found is None:
            return None
        generation, entry = found
        descriptor = self._open_segment(generation)
        if descriptor is None:  # placed since it was read here, and perhaps deleted
            return None
        self._files.close(descriptor)
        return entry.meta_size_bytes + entry.size_bytes

    def paths(self) -> list[str]:
        """Return the paths of all objects in the journal, sorted."""
        with self._lock:
            self._refresh()
            return sorted({path for scanned in self._segments.values() for path in scanned.entries})

    def _find(self, path: str) -> tuple[int, Entry] | None:
        with self._lock:
            known = self._known(path)
            if known is None:
                self._refresh()
                known = self._known(path)
            return known

    def _known(self, path: str) -> tuple[int, Entry] | None:
        for generation, scanned in self._segments.items():
            entry = scanned.entries.get(path)
            if entry is not None:
                return generation, entry
        return None

    def _refresh(self) -> None:
        """Read the records that have come since the last time, and forget the segments that are gone."""
        try:
            names = self._files.names(self._directory)
        except FileNotFoundError:
            names = []
        present = {int(name.partition(".")[0]) for name in names if name.endswith((ACTIVE, SEALED))}
        for gone in self._segments.keys() - present:
            del self._segments[gone]
        for generation in present:
            self._scan(generation, self._segments.setdefault(generation, _Scanned()))

    def _scan(self, generation: int, scanned: _Scanned) -> None:
        descriptor = self._open_segment(generation)
        if descriptor is None:
            return
        try:
            for entry in entries(descriptor, generation, scanned.end):
                scanned.end = entry.end
                if entry.dropped:
                    scanned.entries.pop(entry.path, None)
                else:
                    scanned.entries[entry.path] = entry
        finally:
            self._files.close(descriptor)

    def forget(self) -> None:
        """Read everything again: it may be another journal."""
        with self._lock:
            self._segments.clear()

    def _is_segment(self, descriptor: int, generation: int) -> bool:
        """Tell whether a file that was opened as a segment is one still: while it is locked it stays one, or goes."""
        for suffix in (ACTIVE, SEALED):
            with suppress(FileNotFoundError):
                found = self._files.stat(f"{self._directory}/{generation:020}{suffix}")
                return os.path.samestat(found, os.fstat(descriptor))
        return False

    def _open_segment(self, generation: int) -> int | None:
        """Open a segment under whichever name it has now; None if it has been placed."""
        for suffix in (ACTIVE, SEALED, ACTIVE):
            with suppress(FileNotFoundError):
                return self._files.open(f"{self._directory}/{generation:020}{suffix}")
        return None
