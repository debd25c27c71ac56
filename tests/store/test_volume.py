"""What every volume promises (`store.volume`)."""

from __future__ import annotations

import hashlib
import io
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medserver import errors
from medserver.store import DirectoryVolume, Marker, ObjectWriter, StoredObject, Volume, paths
from medserver.store.bucket.volume import BucketVolume
from medserver.store.directory.writer import GATHERED_SIZE_BYTES

META = b"\0" * 128 + b"DICM" + b"file meta information"
SEALED_AT = datetime(2026, 1, 31, 9, 30, 59, tzinfo=UTC)


def put(volume: Volume, data_set: bytes, sealed_at=SEALED_AT, meta=META, path=None) -> StoredObject:
    writer = volume.create(meta, path)
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


def test_bytes_survive_any_fragmentation_and_reused_buffers(volume):
    far = isinstance(volume, BucketVolume)

    @given(fragments, st.sampled_from([bytes, bytearray, memoryview]))
    @settings(max_examples=8 if far else 60, deadline=None)
    def survive(pieces, kind):
        check_survival(volume, pieces, kind)

    survive()


def check_survival(volume, pieces, kind):
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
def test_verify_finds_every_damage(volume, site, damage):
    stored = put(volume, b"data set " * 1000)
    volume.place_all()
    whole = bytearray(content(volume, stored.path))
    if damage == "meta":
        whole[3] ^= 1
    elif damage == "data":
        whole[-1] ^= 1
    elif damage == "shorter":
        del whole[-1]
    else:
        whole.append(0)
    site.overwrite(stored.path, bytes(whole))
    with pytest.raises(errors.DamagedObject):
        volume.verify(stored)
    volume.delete(stored.path)
    with pytest.raises(errors.DamagedObject):
        volume.verify(stored)


def test_open_is_unbuffered_and_seekable(volume):
    stored = put(volume, b"0123456789")
    with volume.open(stored.path) as file:
        assert isinstance(file, io.RawIOBase)
        assert file.read(len(META)) == META
        assert file.read(4) == b"0123"
        assert file.seek(stored.data_set_offset) == len(META)


LARGE = b"0123456789abcdef" * 600_000


@pytest.mark.parametrize("data_set", [b"small", LARGE], ids=["small", "large"])
def test_a_copy_lies_at_the_path_that_is_given(volume, site, data_set):
    digest = hashlib.sha256(data_set).hexdigest()
    path = f"2024/02/29/2359/{digest}-7.dcm"
    for opened in (volume, volume, site.open()):  # again is success, also from another process
        stored = put(opened, data_set, path=path)
        assert stored.path == path
        opened.verify(stored)
        opened.close()
    assert content(volume, path) == META + data_set
    assert list(volume.walk()) == [path]


@pytest.mark.parametrize("data_set", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("other", ["meta", "data", "shorter"])
def test_nothing_else_at_the_path_is_overwritten(volume, site, data_set, other):
    path = put(volume, data_set).path
    volume.place_all()
    there = {"meta": b"?" + META[1:] + data_set, "data": META + b"?" + data_set[1:], "shorter": META + data_set[:-1]}
    site.overwrite(path, there[other])
    with pytest.raises(errors.DamagedObject):
        put(volume, data_set, path=path)
    assert content(volume, path) == there[other]
    assert list(volume.walk()) == [path]


def test_the_path_must_be_that_of_the_data_set(volume):
    path = f"2024/02/29/2359/{'a' * 64}.dcm"
    with pytest.raises(errors.StoreFailure):
        put(volume, b"another one", path=path)
    with pytest.raises(ValueError):
        volume.create(META, "../outside")
    assert list(volume.walk()) == []


def test_threads_that_make_the_same_copy_all_succeed(volume):
    data_set = b"copied by everybody" * 1000
    path = f"2024/02/29/2359/{hashlib.sha256(data_set).hexdigest()}.dcm"
    barrier, made = threading.Barrier(4), []

    def work():
        barrier.wait(60)
        made.append(put(volume, data_set, path=path).path)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert made == [path] * 4
    assert content(volume, path) == META + data_set


def test_a_large_object_is_read_in_any_order(volume):
    stored = put(volume, LARGE)
    whole = META + LARGE
    with volume.open(stored.path) as file:
        for start, size in ((0, 10), (len(whole) - 5, 10), (5_000_000, 2_500_000), (1, 0), (2_000_000, 1_000_001)):
            file.seek(start)
            buffer = bytearray(size)
            assert file.readinto(buffer) == len(whole[start : start + size])
            assert buffer[: len(whole) - start] == whole[start : start + size]
        assert file.seek(0, io.SEEK_END) == len(whole)
        assert file.read(1) == b""


def test_sweep_leaves_objects(volume):
    stored = put(volume, b"x")
    assert volume.remove_unfinished() == 0
    volume.verify(stored)


def test_what_was_flushed_is_an_object_when_it_is_sealed(volume):
    writers = [volume.create(META) for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.write(b"%d" % number)
        writer.flush()
        assert not writer.is_in_memory
    assert list(volume.walk()) == []
    writers[2].abandon()
    stored = [writer.seal(SEALED_AT) for writer in writers[:2]]
    assert [content(volume, one.path) for one in stored] == [META + b"0", META + b"1"]
    assert len(list(volume.walk())) == 2
    with pytest.raises(errors.StoreFailure):
        writers[2].seal(SEALED_AT)


def test_what_has_a_second_name_stays_what_it_is(volume, tmp_path):
    stored = put(volume, b"data set")
    volume.place_all()
    target = tmp_path / "second"
    if not volume.link(stored.path, str(target)):
        assert isinstance(volume, BucketVolume) and not target.exists()
        return
    assert not volume.link(stored.path, str(target))
    volume.verify(stored)
    volume.delete(stored.path)
    assert target.read_bytes() == META + b"data set"
    assert not volume.link(stored.path, str(tmp_path / "third"))
    with pytest.raises(ValueError):
        volume.link("../marker", str(tmp_path / "third"))


def test_what_is_in_a_journal_has_no_second_name(tmp_path):
    volume = DirectoryVolume("main", tmp_path / "store", journaled=True, segment_bytes=2 * 1024 * 1024)
    volume.mark(marker := Marker.new())
    volume.attach(marker)
    stored = put(volume, b"data set")
    assert not volume.link(stored.path, str(tmp_path / "second")) and not (tmp_path / "second").exists()
    volume.close()


MADE = b"\xff" * len(META) + b"data set"
"""A file that has the bytes of an object, but for what stands before its data set."""


@pytest.fixture
def made(tmp_path):
    """Give the path of such a file."""
    path = tmp_path / "made.dcm"
    path.write_bytes(MADE)
    return path


def taken(volume, made):
    """Have a file become an object; skip what cannot."""
    writer = volume.take(META, str(made))
    if isinstance(volume, BucketVolume):
        assert writer is None and made.read_bytes() == MADE
        pytest.skip("what is in a bucket is no file")
    return writer


def test_a_file_becomes_an_object(volume, made, tmp_path):
    inode = made.stat().st_ino
    writer = taken(volume, made)
    writer.write(b"data ")
    writer.write(b"set")
    writer.flush()
    assert not made.exists() and list(volume.walk()) == []
    stored = writer.seal(SEALED_AT)
    assert stored.digest == hashlib.sha256(b"data set").hexdigest() and stored.data_set_offset == len(META)
    volume.verify(stored)
    found = (tmp_path / "store" / stored.path).stat()
    assert (found.st_ino, found.st_nlink, found.st_mode & 0o777) == (inode, 1, 0o640)
    assert put(volume, b"data set").digest == stored.digest


def test_a_file_that_was_taken_and_is_abandoned_is_gone(volume, made, tmp_path):
    writer = taken(volume, made)
    writer.write(b"data set")
    writer.abandon()
    assert not made.exists() and list(volume.walk()) == []
    assert list((tmp_path / "store" / "incoming").glob("*/*.part")) == []


@pytest.mark.parametrize("written", [b"data", b"data set and more"])
def test_a_file_that_is_another_length_is_no_object(volume, made, written, tmp_path):
    writer = taken(volume, made)
    writer.write(written)
    with pytest.raises(errors.StoreFailure):
        writer.seal(SEALED_AT)
    assert list(volume.walk()) == [] and list((tmp_path / "store" / "incoming").glob("*/*.part")) == []


@pytest.mark.parametrize("kind", ["second name", "symbolic link", "directory", "missing"])
def test_what_is_no_file_of_its_own_is_not_taken(volume, made, kind, tmp_path):
    other = tmp_path / "other.dcm"
    if kind == "second name":
        other.hardlink_to(made)
    elif kind == "symbolic link":
        other.symlink_to(made)
    elif kind == "directory":
        other.mkdir()
    assert volume.take(META, str(other)) is None
    assert made.read_bytes() == MADE and list(volume.walk()) == []
