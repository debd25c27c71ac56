"""The shelves of volumes of every kind: what each promises."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from medserver.errors import DamagedObject, StoreFailure
from medserver.store import Volume

SIZES = (0, 1, 100_000, 9 * 1024 * 1024, 21 * 1024 * 1024)


def test_a_shelf(volume: Volume) -> None:
    shelf = volume.backups
    assert shelf.names() == []
    contents = {f"file-{size}.gz": os.urandom(size) for size in SIZES}
    for name, content in contents.items():
        shelf.put(name, (content[start : start + 700_000] for start in range(0, len(content), 700_000)))
    assert shelf.names() == sorted(contents)
    for name, content in contents.items():
        with shelf.open(name) as file:
            assert file.read() == content
        with pytest.raises(StoreFailure):
            shelf.put(name, [b"others"])
        with shelf.open(name) as file:
            assert file.read() == content
    with pytest.raises(DamagedObject):
        shelf.open("another")
    with pytest.raises(ZeroDivisionError):
        shelf.put("half", _failing())
    for wrong in ("../up", "", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="not the name"):
            shelf.put(wrong, [])
    assert shelf.names() == sorted(contents)
    assert list(volume.walk()) == []
    for name in [*contents, "another"]:
        shelf.delete(name)
    assert shelf.names() == []
    assert volume.remove_unfinished() == 0


def _failing() -> Iterator[bytes]:
    yield bytes(9 * 1024 * 1024)
    raise ZeroDivisionError
