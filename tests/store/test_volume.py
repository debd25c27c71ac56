"""What every volume promises (`store.volume`)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medserver import errors
from medserver.store import DirectoryVolume, ObjectWriter, StoredObject, Volume, paths
from medserver.store.writer import GATHERED_SIZE_BYTES

META = b"\0" * 128 + b"DICM" + b"file meta information"
SEALED_AT = datetime(2026, 1, 31, 9, 30, 59, tzinfo=UTC)


@pytest.fixture(params=["directory", "journal"])
def volume(request, tmp_path) -> Iterator[Volume]:
    volume = DirectoryVolume(
        "main", tmp_path / "store", journaled=request.param == "journal", segment_bytes=2 * 1024 * 1024
    )
    yield volume
    volume.close()


def put(volume: Volume, data_set: bytes, sealed_at=SEALED_AT, meta=META) -> StoredObject:
    writer = volume.create(meta)
    writer.write(data_set)
    return writer.seal(sealed_at)


def content(volume: Volume, path: str) -> bytes:
    with volume.open(path) as file:
        return file.read()


def test_sealed_object_is_described_exactly(volume):
    stored = put(volume, b"data set")
    assert stored == StoredObject(
        volume="main",
        path=stored.path,
        data_set_offset=len(META),
        size_bytes=8,
        digest=hashlib.sha256(b"data set").hexdigest(),
        meta_digest=hashlib.sha256(META).hexdigest(),
    )
    assert stored.path.startswith(f"2026/01/31/0930/{stored.digest}")
    assert content(volume, stored.path) == META + b"data set"
    assert volume.stat(stored.path).size_bytes == len(META) + 8
    volume.verify(stored)


def test_empty_data_set_is_an_object(volume):
    stored = volume.create(META).seal(SEALED_AT)
    assert stored.size_bytes == 0
    assert content(volume, stored.path) == META


fragments = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(0, 2 * GATHERED_SIZE_BYTES).map(lambda size: bytes(range(256)) * (size // 256) + b"x"),
    ),
    max_size=12,
)


@given(fragments, st.sampled_from([bytes, bytearray, memoryview]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_survive_any_fragmentation_and_reused_buffers(volume, pieces, kind):
    writer = volume.create(META)
    for piece in pieces:
        buffer = bytearray(piece)
        writer.write(bytes(piece) if kind is bytes else kind(buffer))
        buffer[:] = b"\xee" * len(buffer)  # the receiver reuses its buffer
        assert writer.size_bytes <= sum(map(len, pieces))
    expected = b"".join(pieces)
    assert (writer.size_bytes, writer.digest) == (len(expected), hashlib.sha256(expected).hexdigest())
    stored = writer.seal(SEALED_AT)
    assert content(volume, stored.path) == META + expected
    volume.verify(stored)
    volume.delete(stored.path)


def test_thousands_of_tiny_fragments(volume):
    writer = volume.create(META)
    for number in range(5000):
        writer.write(bytes([number & 255]))
    stored = writer.seal(SEALED_AT)
    assert content(volume, stored.path)[len(META) :] == bytes(number & 255 for number in range(5000))


def test_equal_data_sets_never_overwrite_each_other(volume):
    stored = [put(volume, b"same", meta=META + bytes([number])) for number in range(12)]
    assert len({one.path for one in stored}) == 12
    for number, one in enumerate(stored):
        assert content(volume, one.path) == META + bytes([number]) + b"same"


def test_abandoned_object_leaves_nothing(volume):
    writer: ObjectWriter = volume.create(META)
    writer.write(b"half")
    writer.abandon()
    writer.abandon()
    assert list(volume.walk()) == []
    with pytest.raises(errors.StoreFailure):
        writer.write(b"more")
    with pytest.raises(errors.StoreFailure):
        writer.seal(SEALED_AT)


def test_sealed_object_outlives_a_late_abandon(volume):
    writer = volume.create(META)
    stored = writer.seal(SEALED_AT)
    writer.abandon()
    assert content(volume, stored.path) == META
    with pytest.raises(errors.StoreFailure):
        writer.seal(SEALED_AT)
    assert content(volume, stored.path) == META


def test_delete_is_idempotent(volume):
    stored = put(volume, b"x")
    volume.delete(stored.path)
    volume.delete(stored.path)
    for read in (volume.open, volume.stat):
        with pytest.raises(errors.DamagedObject):
            read(stored.path)
    with pytest.raises(errors.DamagedObject):
        volume.verify(stored)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "incoming/lock", "", f"2026/01/31/0930/../0930/{'a' * 64}.dcm"]
)
def test_paths_that_lead_elsewhere_are_refused(volume, path):
    for verb in (volume.open, volume.stat, volume.delete):
        with pytest.raises(ValueError):
            verb(path)


def test_walk_is_sorted_and_resumes_anywhere(volume):
    stored = []
    for minute in (0, 1, 59, 60, 60 * 24, 60 * 24 * 31, 60 * 24 * 400):
        for body in (b"a", b"b", b"b"):
            stored.append(put(volume, body, SEALED_AT + timedelta(minutes=minute)).path)
    everything = sorted(stored)
    assert list(volume.walk()) == everything
    for number, path in enumerate(everything):
        assert list(volume.walk(path)) == everything[number + 1 :]
        minute = paths.directory_of(path)
        assert list(volume.walk(minute)) == [other for other in everything if other > minute]
    assert list(volume.walk("9")) == []
    assert list(volume.walk("2026/01/31/0929")) == everything
    assert list(volume.walk("2026/02")) == [other for other in everything if other > "2026/02"]


@pytest.mark.parametrize("damage", ["meta", "data", "shorter", "longer"])
def test_verify_finds_every_damage(volume, tmp_path, damage):
    stored = put(volume, b"data set " * 1000)
    volume.settle()
    file = tmp_path / "store" / stored.path
    whole = bytearray(file.read_bytes())
    if damage == "meta":
        whole[3] ^= 1
    elif damage == "data":
        whole[-1] ^= 1
    elif damage == "shorter":
        del whole[-1]
    else:
        whole.append(0)
    file.write_bytes(whole)
    with pytest.raises(errors.DamagedObject):
        volume.verify(stored)


def test_open_is_unbuffered_and_seekable(volume):
    stored = put(volume, b"0123456789")
    with volume.open(stored.path) as file:
        assert isinstance(file, io.RawIOBase)
        assert file.read(len(META)) == META
        assert file.read(4) == b"0123"
        assert file.seek(stored.data_set_offset) == len(META)
