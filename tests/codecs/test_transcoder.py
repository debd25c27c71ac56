"""What was transcoded is remembered within bounds, and what comes next is made ahead; neither shows in the results."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from medserver.codecs import TranscodeAhead, Transcoded, TranscodedCache, Transcoder, Workers, table
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotTranscode, DamagedObject
from tests.codecs.images import image

MIB = 1024**2
MAKER = "a codec 1.0"


@dataclass
class Given:
    """A source that counts how often it is read."""

    sop_instance_uid: str
    data_set: bytes
    transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN
    is_remembered: bool = True
    is_damaged: bool = False
    readings: list[threading.Thread] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return len(self.data_set)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data_set).hexdigest() if self.is_remembered else ""

    @contextmanager
    def open_data_set(self) -> Iterator[BinaryIO]:
        self.readings.append(threading.current_thread())
        if self.is_damaged:
            raise DamagedObject("it is damaged")
        yield io.BytesIO(self.data_set)


def given(number: int = 1, **others: object) -> Given:
    return Given(f"2.25.{number}", image((number, 32, 48), "u2", 12).data_set, **others)


def content(transcoded: Transcoded) -> bytes:
    with transcoded.open() as data_set:
        return data_set.read()


def result(transcoder: Transcoder | TranscodeAhead, source: Given, to_uid: str = RLE_LOSSLESS) -> bytes:
    with transcoder.transcode(source, to_uid) as transcoded:
        return content(transcoded)


@pytest.fixture
def cache(tmp_path: Path) -> TranscodedCache:
    return TranscodedCache(tmp_path / "transcoded", 64 * MIB)


@pytest.fixture
def transcoder(workers: Workers, cache: TranscodedCache) -> Transcoder:
    return Transcoder(workers, cache)


def made(size_bytes: int, byte: bytes = b"x") -> Transcoded:
    descriptor = os.memfd_create("made")
    os.write(descriptor, byte * size_bytes)
    return Transcoded(descriptor)


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "transcoded").glob("*/*"))


def test_the_second_time_it_is_not_even_read(transcoder: Transcoder) -> None:
    source = given()
    first = result(transcoder, source)
    assert result(transcoder, source) == first
    assert len(source.readings) == 1
    assert result(transcoder, source, JPEG_2000_LOSSLESS) != first
    assert len(source.readings) == 2


def test_another_process_finds_it(transcoder: Transcoder, workers: Workers, tmp_path: Path) -> None:
    source = given()
    first = result(transcoder, source)
    other = Transcoder(workers, TranscodedCache(tmp_path / "transcoded", 64 * MIB))
    assert result(other, source) == first
    assert len(source.readings) == 1


def test_what_has_no_digest_is_not_remembered(transcoder: Transcoder, tmp_path: Path) -> None:
    source = given(is_remembered=False)
    assert result(transcoder, source) == result(transcoder, source)
    assert len(source.readings) == 2
    assert not files(tmp_path)


@pytest.mark.parametrize("damage", ["flip", "flip digest", "cut", "empty"])
def test_what_was_damaged_is_made_anew(transcoder: Transcoder, tmp_path: Path, damage: str) -> None:
    source = given()
    first = result(transcoder, source)
    [path] = files(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[0 if damage == "flip digest" else 100] ^= 1
    path.write_bytes({"cut": raw[:90], "empty": b""}.get(damage, raw))
    assert result(transcoder, source) == first
    assert len(source.readings) == 2
    assert result(transcoder, source) == first
    assert len(source.readings) == 2


def test_what_was_deleted_is_forgotten(transcoder: Transcoder, tmp_path: Path) -> None:
    source, other = given(1), given(2)
    for uid in (RLE_LOSSLESS, JPEG_2000_LOSSLESS):
        result(transcoder, source, uid)
        result(transcoder, other, uid)
    transcoder.forget(source.digest, source.transfer_syntax_uid)
    assert len(files(tmp_path)) == 2
    result(transcoder, other)
    assert len(other.readings) == 2


def test_the_cache_stays_within_its_size_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = TranscodedCache(tmp_path / "transcoded", 16 * MIB)
    for number in range(40):
        cache.add(f"{number:064}", RLE_LOSSLESS, MAKER, made(MIB - 100))
        used = cache.open(f"{0:064}", RLE_LOSSLESS, MAKER)  # one that is used again and again
        assert used is not None
        os.utime(used.descriptor, (2e9 + number,) * 2)  # time stamps may be coarser than this loop
        os.close(used.descriptor)
        for path in files(tmp_path):
            assert path.stat().st_size == MIB - 100 + 64
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 16 * MIB
    assert len(files(tmp_path)) >= 14


def test_what_would_fill_the_cache_alone_is_not_kept(tmp_path: Path) -> None:
    cache = TranscodedCache(tmp_path / "transcoded", 16 * MIB)
    cache.add("a" * 64, RLE_LOSSLESS, MAKER, made(MIB + 1))
    assert not files(tmp_path)


def test_where_nothing_can_be_written_it_goes_on(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "transcoded").write_text("a file in the place of the directory")
    transcoder = Transcoder(workers, TranscodedCache(tmp_path / "transcoded", 64 * MIB))
    source = given()
    assert result(transcoder, source) == result(transcoder, source)
    assert len(source.readings) == 2


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "transcoded" / "aa"
    folder.mkdir(parents=True)
    old, new = folder / "old.part", folder / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    TranscodedCache(tmp_path / "transcoded", 16 * MIB).add("a" * 64, RLE_LOSSLESS, MAKER, made(100))
    assert not old.exists()
    assert new.exists()


def test_what_an_earlier_version_made_is_not_taken(cache: TranscodedCache, tmp_path: Path) -> None:
    """It may have lost bits above Bits Stored; it has the name that is used now, but does not say what made it."""
    name = hashlib.sha256(f"{'a' * 64} {HTJ2K_LOSSLESS}".encode()).hexdigest()
    earlier = tmp_path / "transcoded" / name[:2] / name
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(hashlib.sha256(b"x" * 100).digest() + b"x" * 100)
    assert cache.open("a" * 64, HTJ2K_LOSSLESS, MAKER) is None
    cache.add("a" * 64, HTJ2K_LOSSLESS, MAKER, made(100))
    assert files(tmp_path) == [earlier]
    found = cache.open("a" * 64, HTJ2K_LOSSLESS, MAKER)
    assert found is not None
    os.close(found.descriptor)


@pytest.mark.parametrize(
    ("from_uid", "to_uid", "distribution"),
    [
        (EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, "pylibjpeg-openjpeg"),
        (EXPLICIT_VR_LITTLE_ENDIAN, HTJ2K_LOSSLESS, "imagecodecs"),
        (EXPLICIT_VR_LITTLE_ENDIAN, HTJ2K_LOSSLESS, "pylibjpeg-openjpeg"),
        (RLE_LOSSLESS, EXPLICIT_VR_LITTLE_ENDIAN, "pydicom"),
        (RLE_LOSSLESS, JPEG_2000_LOSSLESS, "pydicom"),
    ],
)
def test_what_another_version_of_a_codec_made_is_made_anew(
    transcoder: Transcoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_uid: str, to_uid: str,
    distribution: str,
) -> None:  # fmt: skip
    source = given()
    if from_uid != source.transfer_syntax_uid:
        source = replace(source, transfer_syntax_uid=from_uid, data_set=result(transcoder, source, from_uid))
        transcoder.cache.forget(given().digest, [from_uid])
    first = result(transcoder, source, to_uid)
    version = table._version

    def other(name: str) -> str:
        return "99" if name == distribution else version(name)

    monkeypatch.setattr(table, "_version", other)
    read = len(source.readings)
    assert result(transcoder, source, to_uid) == result(transcoder, source, to_uid) == first
    assert len(source.readings) == read + 1
    assert len(files(tmp_path)) == 1  # in the place of the other
    transcoder.forget(source.digest, source.transfer_syntax_uid)
    assert not files(tmp_path)


def test_two_who_add_the_same_do_no_harm(cache: TranscodedCache, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=cache.add, args=("a" * 64, RLE_LOSSLESS, MAKER, made(MIB, b"ab"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [path] = files(tmp_path)
    found = cache.open("a" * 64, RLE_LOSSLESS, MAKER)
    assert found is not None
    assert content(found) == b"ab" * MIB
    os.close(found.descriptor)


def test_what_was_begun_is_what_comes(transcoder: Transcoder, workers: Workers) -> None:
    sources = [given(number, is_remembered=False) for number in (1, 2, 3)]
    expected = [result(Transcoder(workers), replace(source)) for source in sources]
    for source in sources:
        source.readings.clear()
    with TranscodeAhead(transcoder) as transcoding:
        for source in sources[:2]:
            transcoding.begin(source, RLE_LOSSLESS)
            transcoding.begin(source, RLE_LOSSLESS)
        assert [result(transcoding, source) for source in sources] == expected
    assert [len(source.readings) for source in sources] == [1, 1, 1]
    assert sources[2].readings == [threading.current_thread()]
    assert threading.current_thread() not in sources[0].readings + sources[1].readings


def test_errors_come_when_it_is_asked_for(transcoder: Transcoder) -> None:
    with TranscodeAhead(transcoder) as transcoding:
        damaged = given(1, is_damaged=True)
        transcoding.begin(damaged, RLE_LOSSLESS)
        with pytest.raises(DamagedObject):
            result(transcoding, damaged)
        damaged.is_damaged = False  # another copy is good
        assert result(transcoding, damaged)
        cannot = Given("2.25.9", b"no data set")
        transcoding.begin(cannot, RLE_LOSSLESS)
        with pytest.raises(CannotTranscode, match="goes beyond 11$"):
            result(transcoding, cannot)


def test_what_is_taken_in_another_syntax_holds_no_place(transcoder: Transcoder) -> None:
    sources = [given(number, is_remembered=False) for number in range(1, transcoder.workers.count + 3)]
    *others, last = sources
    with TranscodeAhead(transcoder) as transcoding:
        for source in others:
            transcoding.begin(source, RLE_LOSSLESS)
            assert result(transcoding, source, JPEG_2000_LOSSLESS)
        transcoding.begin(last, RLE_LOSSLESS)
        assert result(transcoding, last)
    assert threading.current_thread() not in last.readings


def test_what_nobody_asks_for_leaves_no_file_open(transcoder: Transcoder) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with TranscodeAhead(transcoder) as transcoding:
            for number in (1, 2, 3, 4):
                transcoding.begin(given(number), RLE_LOSSLESS)
    for thread in threading.enumerate():
        if thread.name.startswith("transcode ahead"):
            thread.join(30)
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * transcoder.workers.count  # the connections to workers
