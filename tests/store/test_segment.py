"""The records of the journal."""

from __future__ import annotations

import pytest

from medserver.store.journal.segment import dropped_record, object_record, record_size

PATH = "2026/11/26/12/40/0123-1.dcm"


@pytest.mark.parametrize("file_meta", [b"", b"DICM" * 40])
@pytest.mark.parametrize("size_bytes", [0, 10_000])
def test_the_room_for_an_object_is_the_length_of_its_record(file_meta: bytes, size_bytes: int) -> None:
    head = object_record(PATH, 7, file_meta, bytes(32), size_bytes)
    assert record_size(PATH, len(file_meta), size_bytes) == len(head) + size_bytes


def test_the_room_for_a_dropped_object_is_the_length_of_its_record() -> None:
    assert record_size(PATH, 0, 0) == len(dropped_record(PATH, 7))
