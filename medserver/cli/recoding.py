"""Files brought into another transfer syntax, several at a time: each is there when it is complete, or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from medserver import codecs
from medserver.cli.text import printable
from medserver.dicom.part10 import FileMeta
from medserver.errors import BadUsage, CannotTranscode, MedserverError, TransferSyntaxNotSupported
from medserver.scu.files import Finding


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

    Yields
    ------
    Transcoding
        For each file, in order.
    """

    def transcode(finding: Finding) -> Transcoding:
        if finding.outgoing is None:
            return Transcoding(finding.name, problem=finding.problem)
        try:
            return _transcode(finding, place(finding.name), to_uid, overwrite, workers)
        except (MedserverError, OSError) as error:
            return Transcoding(finding.name, problem=getattr(error, "strerror", None) or str(error))

    with ThreadPoolExecutor(processes) as threads:
        yield from threads.map(transcode, found)


def _transcode(
    finding: Finding, path: Path, to_uid: str, overwrite: bool, workers: codecs.Workers
) -> Transcoding:
    outgoing = finding.outgoing
    if path.exists() and not overwrite:
        raise BadUsage(f"{printable(str(path))} is there already")
    from_uid, size_bytes, kept = outgoing.transfer_syntax_uid, outgoing.size_bytes, ""
    path.parent.mkdir(parents=True, exist_ok=True)
    if from_uid != to_uid:
        try:
            with (
                outgoing.open_data_set() as data_set,
                codecs.transcode(
                    data_set, size_bytes, from_uid, to_uid, workers, tempfile.gettempdir()
                ) as transcoded,
                transcoded.open() as new,
            ):
                _write(path, finding, to_uid, new)
                return Transcoding(finding.name, from_uid, to_uid, size_bytes, transcoded.size_bytes)
        except (CannotTranscode, TransferSyntaxNotSupported) as error:
            kept = str(error)
    with outgoing.open_data_set() as data_set:
        _write(path, finding, from_uid, data_set)
    return Transcoding(finding.name, from_uid, from_uid, size_bytes, size_bytes, kept)


def _write(path: Path, finding: Finding, transfer_syntax_uid: str, data_set: BinaryIO) -> None:
    """Write a Part 10 file; it is there when it is complete, or not at all."""
    outgoing = finding.outgoing
    meta = FileMeta(outgoing.sop_class_uid, outgoing.sop_instance_uid, transfer_syntax_uid)
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
