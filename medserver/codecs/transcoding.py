"""Bring a stored object into a transfer syntax that a peer accepts, leave its bulk data out, or take frames of it."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from medserver.codecs.syntaxes import compressions, targets
from medserver.codecs.transcoded import Transcoded
from medserver.codecs.worker import NO_SPACE
from medserver.codecs.workers import Workers
from medserver.dicom.frame_lists import FrameKeys
from medserver.dicom.uids import is_valid_uid
from medserver.errors import CannotTranscode, OutOfResources, TransferSyntaxNotSupported
from medserver.region import BUFFER_SIZE_BYTES

SIZE_MAX_BYTES = 16 * 2**30

CHANGES_SIZE_MAX_BYTES = 16 * 2**20
"""What a rule may change: some 300,000 lines of a map."""

# What a worker does, by name: their modules bring pydicom and numpy, which only the worker needs.
_COERCE = "medserver.codecs.coercion:coerce"
_COPY_BULK = "medserver.codecs.frames.bulk:copy"
_CONVERT = "medserver.codecs.conversion:convert"
_EXTRACT = "medserver.codecs.frames.extraction:extract"
_DERIVE_LOSSY = "medserver.codecs.lossy:derive_lossy"


@contextmanager
def transcode(
    source: BinaryIO,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
    as_proved: bool = False,
) -> Iterator[Transcoded]:
    """Bring a data set into another transfer syntax, in a worker process.

    The SOP Instance UID stays the same, and so do all pixels that were not compressed with loss: every frame that is
    encoded is decoded again and compared.

    Parameters
    ----------
    source : BinaryIO
        A stream positioned at the data set. Its position afterwards is undefined.
    size_bytes : int
        The length of the data set.
    from_uid, to_uid : str
        Transfer syntax UIDs; `to_uid` is one of ``targets(from_uid)`` or ``compressions(from_uid)``.
    workers : Workers
        Who does it.
    directory : str or Path
        Where temporary files are made. They have no name, so that nothing is left after a crash.
    size_max_bytes : int
        The longest data set that is made.
    as_proved : bool
        Decode with what proved the encoder of `from_uid` once: it may give what the usual decoder loses.

    Yields
    ------
    Transcoded
        The result, which is gone when the context is left.

    Raises
    ------
    CannotTranscode
        If the data set is damaged, or its pixels cannot be decoded within the limits or encoded without loss.
    TransferSyntaxNotSupported
        If there is no way from `from_uid` to `to_uid`.
    OutOfResources
        If the directory is full.
    """
    if to_uid not in targets(from_uid) and to_uid not in compressions(from_uid):
        raise TransferSyntaxNotSupported(f"an object in {from_uid!r} cannot be brought into {to_uid!r}")
    how = (workers, directory, size_max_bytes)
    with _converted(source, size_bytes, from_uid, to_uid, *how, as_proved=as_proved) as transcoded:
        yield transcoded


@contextmanager
def compress_with_loss(
    source: BinaryIO,
    size_bytes: int,
    from_uid: str,
    ratio: float,
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
) -> Iterator[tuple[Transcoded, str]]:
    """Derive another image by JPEG 2000 with loss, in a worker process.

    Parameters
    ----------
    ratio : float
        How much shorter the pixels become.
    source, size_bytes, from_uid, workers, directory, size_max_bytes
        As for `transcode`.

    Yields
    ------
    tuple of (Transcoded, str)
        The derived image, in the transfer syntax JPEG 2000, which is gone when the context is left; and its
        SOP Instance UID, which is not that of the source (PS3.3 C.7.6.1.1.5).

    Raises
    ------
    CannotTranscode
        The object is not an image that may be compressed with loss.
    TransferSyntaxNotSupported, OutOfResources
        As for `transcode`.
    """
    how = (from_uid, os.fspath(directory), size_max_bytes, ratio)
    with _worked(source, size_bytes, workers, directory, _DERIVE_LOSSY, how) as (descriptor, uid):
        if not is_valid_uid(uid):
            raise CannotTranscode("the worker process gave no proper answer")
        yield Transcoded(descriptor), uid


@contextmanager
def change_attributes(
    source: BinaryIO,
    size_bytes: int,
    transfer_syntax_uid: str,
    changes: Mapping[str, Any],
    modifying_system: str,
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
) -> Iterator[Transcoded]:
    """Change attributes of a data set, in a worker process; its transfer syntax stays, and so do its pixels.

    Parameters
    ----------
    changes : Mapping
        ``set``: keyword -> value; ``remove``: keywords; ``map``: keyword -> (value -> other value).
    modifying_system : str
        Who changes it: it stands beside the old values, in the Original Attributes Sequence (PS3.3 C.12.1.1.9).
    source, size_bytes, transfer_syntax_uid, workers, directory, size_max_bytes
        As for `transcode`.

    Yields
    ------
    Transcoded
        The result, which is gone when the context is left.

    Raises
    ------
    CannotTranscode
        The data set is damaged, it cannot have such a value, or the changes are more than `CHANGES_SIZE_MAX_BYTES`.
    OutOfResources
        If the directory is full.
    """
    how = (transfer_syntax_uid, os.fspath(directory), size_max_bytes, modifying_system)
    encoded = json.dumps(changes).encode()
    if len(encoded) > CHANGES_SIZE_MAX_BYTES:
        raise CannotTranscode(f"the changes take more than {CHANGES_SIZE_MAX_BYTES // 2**20} MiB")
    with tempfile.TemporaryFile(dir=directory) as written:  # a map may be too long for a message
        _write(written, encoded)
        descriptors = (written.fileno(),)
        with _worked(source, size_bytes, workers, directory, _COERCE, how, descriptors) as (descriptor, _):
            yield Transcoded(descriptor)


@contextmanager
def leave_out_bulk_data(
    source: BinaryIO,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
) -> Iterator[Transcoded]:
    """Write a data set without the attributes of PS3.4 table Z.1-1, in a worker process.

    Everything else is there: the data set is read to its end.

    Parameters
    ----------
    to_uid : str
        Any transfer syntax: without pixel data only the encoding of the elements matters.
    source, size_bytes, from_uid, workers, directory, size_max_bytes
        As for `transcode`.

    Yields
    ------
    Transcoded
        The result, which is gone when the context is left.

    Raises
    ------
    CannotTranscode
        If the data set is damaged, or the pixels of an icon would have to be decoded and cannot.
    TransferSyntaxNotSupported
        If a transfer syntax is not known.
    OutOfResources
        If the directory is full.
    """
    with _converted(
        source, size_bytes, from_uid, to_uid, workers, directory, size_max_bytes, without_bulk_data=True
    ) as header:
        yield header


@contextmanager
def extract_frames(
    source: BinaryIO,
    size_bytes: int,
    transfer_syntax_uid: str,
    keys: FrameKeys,
    digest: str,
    equipment: Mapping[str, str],
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
) -> Iterator[tuple[Transcoded, str]]:
    """Make a new instance of some frames of an image, in a worker process (PS3.4 Y.3.3).

    Parameters
    ----------
    keys : FrameKeys
        The frames.
    digest : str
        The SHA-256 of the data set, hexadecimal. Of it, of the UID of the source, of what is asked for and of who makes
        the instance comes its UID.
    equipment : Mapping of str to str
        Who makes it: keyword -> value of the item of Contributing Equipment Sequence.
    source, size_bytes, transfer_syntax_uid, workers, directory, size_max_bytes
        As for `transcode`. Of a source that is a file only what is needed is read.

    Yields
    ------
    tuple of (Transcoded, str)
        The new instance, in the same transfer syntax, which is gone when the context is left; and its SOP Instance UID.

    Raises
    ------
    NotMultiFrame
        The object is no multi-frame image, or of a SOP class of which no new instance can be made.
    NoSuchFrames, NoFrameTimes
        It has none of the frames, or does not tell their times.
    CannotTranscode
        The data set is damaged, its parts contradict each other, or its frames depend on each other.
    TransferSyntaxNotSupported, OutOfResources
        As for `transcode`.
    """
    how = (transfer_syntax_uid, os.fspath(directory), size_max_bytes)
    request = {"keyword": keys.keyword, "values": keys.values, "digest": digest, "equipment": dict(equipment)}
    with tempfile.TemporaryFile(dir=directory) as written:  # a list of frames may be too long for a message
        _write(written, json.dumps(request).encode())
        descriptors = (written.fileno(),)
        with _worked(source, size_bytes, workers, directory, _EXTRACT, how, descriptors) as (descriptor, uid):
            if not is_valid_uid(uid):
                raise CannotTranscode("the worker process gave no proper answer")
            yield Transcoded(descriptor), uid


@contextmanager
def copy_bulk_data(
    source: BinaryIO,
    size_bytes: int,
    transfer_syntax_uid: str,
    tag: int,
    numbers: Sequence[int],
    workers: Workers,
    directory: str | Path,
    *,
    size_max_bytes: int = SIZE_MAX_BYTES,
) -> Iterator[tuple[Transcoded, list[int]]]:
    """Copy the pixels of frames, or another value, out of an object, in a worker process; nothing is decoded.

    Parameters
    ----------
    tag : int
        Of the value; that of Pixel Data stands for the pixels, whichever they are.
    numbers : sequence of int
        Of frames, from 1; empty for all. Only for pixels.
    source, size_bytes, transfer_syntax_uid, workers, directory, size_max_bytes
        As for `transcode`. Of a source that is a file only what is needed is read.

    Yields
    ------
    tuple of (Transcoded, list of int)
        What was copied, one after the other, which is gone when the context is left; and the length of each [byte].

    Raises
    ------
    NoSuchFrames
        There is no such frame, or no such value.
    CannotTranscode
        The data set is damaged, or its parts contradict each other.
    TransferSyntaxNotSupported, OutOfResources
        As for `transcode`.
    """
    how = (transfer_syntax_uid, os.fspath(directory), size_max_bytes, tag, list(numbers))
    with _worked(source, size_bytes, workers, directory, _COPY_BULK, how) as (descriptor, lengths):
        copied = Transcoded(descriptor)
        is_proper = isinstance(lengths, list) and all(type(each) is int and each >= 0 for each in lengths)
        if not is_proper or sum(lengths) != copied.size_bytes:
            raise CannotTranscode("the worker process gave no proper answer")
        yield copied, lengths


@contextmanager
def _converted(
    source: BinaryIO,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    workers: Workers,
    directory: str | Path,
    size_max_bytes: int,
    without_bulk_data: bool = False,
    as_proved: bool = False,
) -> Iterator[Transcoded]:
    """Let a worker convert a data set."""
    how = (from_uid, to_uid, os.fspath(directory), size_max_bytes, without_bulk_data, as_proved)
    with _worked(source, size_bytes, workers, directory, _CONVERT, how) as (descriptor, pixel_digest):
        yield Transcoded(descriptor, pixel_digest=pixel_digest)


@contextmanager
def _worked(
    source: BinaryIO,
    size_bytes: int,
    workers: Workers,
    directory: str | Path,
    function: str,
    how: tuple[Any, ...],
    more: tuple[int, ...] = (),
) -> Iterator[tuple[int, Any]]:
    """Let a worker make one file of another, and of more if it needs them; give the new one, and what it returned."""
    with ExitStack() as files:
        output = files.enter_context(tempfile.TemporaryFile(dir=directory))
        descriptor, offset = _as_file(source, size_bytes, directory, files)
        answer = workers.run(function, offset, size_bytes, *how, files=(descriptor, output.fileno(), *more))
        yield output.fileno(), answer


def _as_file(source: BinaryIO, size_bytes: int, directory: str | Path, files: ExitStack) -> tuple[int, int]:
    """Return a file that has the data set, and where in it."""
    if _is_file(source):
        return source.fileno(), source.tell()
    spooled = files.enter_context(tempfile.TemporaryFile(dir=directory))
    _spool(source, size_bytes, spooled)
    return spooled.fileno(), 0


def _is_file(source: BinaryIO) -> bool:
    """Return whether the stream's bytes are those of its file: no decompression, no network between them."""
    raw = source.raw if isinstance(source, io.BufferedReader) else source
    return isinstance(raw, io.FileIO)


def _spool(source: BinaryIO, size_bytes: int, spooled: BinaryIO) -> None:
    """Copy the data set into a file, which a worker can be given."""
    remaining = size_bytes
    while remaining:
        chunk = source.read(min(remaining, BUFFER_SIZE_BYTES))
        if not chunk:
            raise CannotTranscode("the stored object is shorter than its data set should be")
        _write(spooled, chunk)
        remaining -= len(chunk)


def _write(spooled: BinaryIO, chunk: bytes) -> None:
    try:
        spooled.write(chunk)
        spooled.flush()
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OutOfResources(f"no space to transcode: {error.strerror}") from error
        raise
