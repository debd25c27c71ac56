"""Files brought into another transfer syntax, several at a time: each is there when it is complete, or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from medserver import codecs
from medserver.cli.text import printable
from medserver.dicom.encodings import SHORT_LENGTH_MAX_BYTES
from medserver.dicom.part10 import FileMeta
from medserver.dicom.transfer_syntaxes import JPEG_2000
from medserver.errors import BadUsage, CannotTranscode, MedserverError, TransferSyntaxNotSupported
from medserver.scu.files import Finding
from medserver.scu.storage import Outgoing


@dataclass(frozen=True, slots=True)
class Transcoding:
    """What became of one file.

    Parameters
    ----------
    name : str
        The file that was read.
    from_uid, to_uid : str
        Transfer syntaxes; the same if it was copied as it is.
    before_bytes, after_bytes : int
        Lengths of the data set.
    kept : str
        Why it was copied as it is, although it should not have been; empty if it was not.
    problem : str
        Why nothing was written; empty if something was.
    """

    name: str
    from_uid: str = ""
    to_uid: str = ""
    before_bytes: int = 0
    after_bytes: int = 0
    kept: str = ""
    problem: str = ""


def transcode_files(
    found: Iterable[Finding],
    place: Callable[[str], Path],
    to_uid: str,
    workers: codecs.Workers,
    *,
    processes: int = 1,
    overwrite: bool = False,
    ratio: float | None = None,
) -> Iterator[Transcoding]:
    """Bring files into a transfer syntax; what cannot be brought into it without loss is copied as it is.

    Parameters
    ----------
    found : iterable of Finding
        The files.
    place : callable
        Takes the name of a file and returns where its new form is written.
    to_uid : str
        The transfer syntax.
    workers : Workers
        Who does it.
    processes : int
        How many at a time.
    overwrite : bool
        Whether files that are there already are replaced.
    ratio : float, optional
        Derive other images by compression with loss, so much shorter, in place of `to_uid`. What that cannot be done
        to is a problem, and not copied.

    Yields
    ------
    Transcoding
        For each file, in order.
    """

    def transcode(finding: Finding) -> Transcoding:
        if finding.outgoing is None:
            return Transcoding(finding.name, problem=finding.problem)
        try:
            path = place(finding.name)
            if path.exists() and not overwrite:
                raise BadUsage(f"{printable(str(path))} is there already")
            path.parent.mkdir(parents=True, exist_ok=True)
            if ratio is not None:
                return _compress_with_loss(finding, path, ratio, workers)
            return _transcode(finding, path, to_uid, workers)
        except (MedserverError, OSError) as error:
            return Transcoding(finding.name, problem=getattr(error, "strerror", None) or str(error))

    with ThreadPoolExecutor(processes) as threads:
        yield from threads.map(transcode, found)


def _transcode(finding: Finding, path: Path, to_uid: str, workers: codecs.Workers) -> Transcoding:
    outgoing = finding.outgoing
    from_uid, size_bytes, kept = outgoing.transfer_syntax_uid, outgoing.size_bytes, ""
    if from_uid != to_uid:
        try:
            with (
                outgoing.open_data_set() as data_set,
                codecs.transcode(
                    data_set, size_bytes, from_uid, to_uid, workers, tempfile.gettempdir()
                ) as transcoded,
                transcoded.open() as new,
            ):
                _write(path, outgoing, to_uid, new)
                return Transcoding(finding.name, from_uid, to_uid, size_bytes, transcoded.size_bytes)
        except (CannotTranscode, TransferSyntaxNotSupported) as error:
            kept = str(error)
    with outgoing.open_data_set() as data_set:
        _write(path, outgoing, from_uid, data_set)
    return Transcoding(finding.name, from_uid, from_uid, size_bytes, size_bytes, kept)


def _compress_with_loss(finding: Finding, path: Path, ratio: float, workers: codecs.Workers) -> Transcoding:
    outgoing = finding.outgoing
    from_uid, size_bytes = outgoing.transfer_syntax_uid, outgoing.size_bytes
    with (
        outgoing.open_data_set() as data_set,
        codecs.compress_with_loss(data_set, size_bytes, from_uid, ratio, workers, tempfile.gettempdir()) as derived,
        derived[0].open() as new,
    ):
        _write(path, replace(outgoing, sop_instance_uid=derived[1]), JPEG_2000, new)
        return Transcoding(finding.name, from_uid, JPEG_2000, size_bytes, derived[0].size_bytes)


def _write(path: Path, instance: Outgoing, transfer_syntax_uid: str, data_set: BinaryIO) -> None:
    """Write a Part 10 file; it is there when it is complete, or not at all."""
    uids = (instance.sop_class_uid, instance.sop_instance_uid)
    # What the meta information cannot say stands in the data set only.
    told = (uid if uid.isascii() and len(uid) <= SHORT_LENGTH_MAX_BYTES else "" for uid in uids)
    meta = FileMeta(*told, transfer_syntax_uid)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(meta.encode())
            copyfileobj(data_set, file, 1024 * 1024)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
