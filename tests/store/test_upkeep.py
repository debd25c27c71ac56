"""What every kind of volume does for safekeeping: it gives way to a good copy, keeps tombstones, says how it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from medserver.errors import DamagedObject
from medserver.store import READY

SEALED_AT = datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC)


def written(writer):
    writer.write(b"data set")
    return writer.seal(SEALED_AT)


def test_a_copy_replaces_what_is_bad(site):
    volume = site.open()
    stored = written(volume.create(b"meta"))
    volume.place_all()
    site.overwrite(stored.path, b"metaDATA SET")
    with pytest.raises(DamagedObject):
        written(volume.create(b"meta", stored.path))
    assert written(volume.create(b"meta", stored.path, replace=True)) == stored
    site.open().verify(stored)


def test_copies_of_a_batch_are_there_when_it_ends(site):
    volume = site.open()
    stored = written(volume.create(b"meta"))
    volume.delete(stored.path)
    with volume.batch() as create:
        assert written(create(b"meta", stored.path)) == stored
    site.open().verify(stored)


def test_tombstones_are_no_objects(site):
    volume = site.open()
    for text in (b"first\n", b"second\n"):
        volume.note("tombstones", text)
    assert list(site.open().notes("tombstones")) == [b"first\n", b"second\n"]
    assert list(volume.walk()) == []


def test_a_volume_with_its_marker_is_ready(site):
    volume = site.open()
    assert volume.condition().state == READY
