"""Transcoded data sets that are kept, up to a size: those that were used last.

Each is a file of its own, with its digest and that of the name of what made it in front. All processes of a machine
share the directory, without a lock: a file appears whole and is never changed, and whoever finds it gone or wrong makes
it anew. Nothing is lost with it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from medserver import modes
from medserver.codecs.transcoded import Transcoded
from medserver.region import BUFFER_SIZE_BYTES, open_region

_DIGEST_BYTES = hashlib.sha256().digest_size
_HEAD_BYTES = 2 * _DIGEST_BYTES
_UNFINISHED = ".part"
_UNFINISHED_MAX_S = 3600.0
_FREE_MIN_BYTES = 1 << 30
"""The cache takes none of the last space of a disk, which may be that of the store."""

_SWEEPS_PER_SIZE = 16

logger = logging.getLogger(__name__)


class TranscodedCache:
    """Transcoded data sets in a directory.

    Threads may share it, and so may processes.

    Parameters
    ----------
    directory : Path
        Where the files lie; made when it is first needed.
    size_max_bytes : int
        How long the files may be together. What processes add at the same moment may exceed it by a sixteenth each,
        until the next file is added.
    """

    def __init__(self, directory: Path, size_max_bytes: int) -> None:
        self._directory = directory
        self._size_max_bytes = size_max_bytes
        self._added_bytes = size_max_bytes  # the first file that is added makes it look what is there
        self._adding = threading.Lock()

    def open(self, digest: str, transfer_syntax_uid: str, made_by: str) -> Transcoded | None:
        """Return what a data set became, None if that is not here, or something else made it.

        Parameters
        ----------
        digest : str
            The SHA-256 of the data set as stored, hexadecimal.
        transfer_syntax_uid : str
            What it was brought into.
        made_by : str
            The codecs, with their versions: another one may make another thing of it.
        """
        path = self._path(digest, transfer_syntax_uid)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("transcoded objects cannot be read: %s", error)
            return None
        try:
            if os.pread(descriptor, _DIGEST_BYTES, _DIGEST_BYTES) != _digest(made_by):
                os.close(descriptor)
                return None
            if _is_whole(descriptor):
                os.utime(descriptor)
                return Transcoded(descriptor, _HEAD_BYTES)
        except OSError as error:
            logger.warning("a transcoded object cannot be read: %s", error)
        os.close(descriptor)
        logger.warning("a transcoded object is damaged, and is made again")
        _remove(path)
        return None

    def add(self, digest: str, transfer_syntax_uid: str, made_by: str, transcoded: Transcoded) -> None:
        """Keep what a data set became, in the place of what others made. Where that cannot be, it is not."""
        size_bytes = _HEAD_BYTES + transcoded.size_bytes
        if size_bytes > self._size_max_bytes // _SWEEPS_PER_SIZE:
            return
        path = self._path(digest, transfer_syntax_uid)
        unfinished = path.with_name(token_hex(8) + _UNFINISHED)
        try:
            modes.make_directories(path.parent)
            if shutil.disk_usage(path.parent).free - size_bytes < _FREE_MIN_BYTES:
                return
            try:
                _write(unfinished, made_by, transcoded)
                os.replace(unfinished, path)
            finally:
                _remove(unfinished)
        except OSError as error:
            logger.warning("a transcoded object is not kept: %s", error)
            return
        self._count(size_bytes)

    def forget(self, digest: str, transfer_syntax_uids: Iterable[str]) -> None:
        """Remove what a data set became: it has been deleted."""
        for transfer_syntax_uid in transfer_syntax_uids:
            _remove(self._path(digest, transfer_syntax_uid))

    def _path(self, digest: str, transfer_syntax_uid: str) -> Path:
        name = hashlib.sha256(f"{digest} {transfer_syntax_uid}".encode()).hexdigest()
        return self._directory / name[:2] / name

    def _count(self, size_bytes: int) -> None:
        """Remove what was used longest ago, once so much was added that there may be too much."""
        with self._adding:
            self._added_bytes += size_bytes
            if self._added_bytes >= self._size_max_bytes // _SWEEPS_PER_SIZE:
                self._added_bytes = 0
                self._sweep()

    def _sweep(self) -> None:
        now = time.time()
        files = []
        for path in self._directory.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        left_bytes = sum(size_bytes for _, size_bytes, _ in files)
        wanted_bytes = self._size_max_bytes - self._size_max_bytes // _SWEEPS_PER_SIZE
        for used_at, size_bytes, path in sorted(files):
            is_left_over = path.suffix == _UNFINISHED and now - used_at > _UNFINISHED_MAX_S
            if is_left_over or left_bytes > wanted_bytes:
                _remove(path)
                left_bytes -= size_bytes


def _digest(made_by: str) -> bytes:
    return hashlib.sha256(made_by.encode()).digest()


def _is_whole(descriptor: int) -> bool:
    """Tell whether a file is what was written."""
    size_bytes = os.fstat(descriptor).st_size - _HEAD_BYTES
    if size_bytes < 0:
        return False
    with open_region(descriptor, _HEAD_BYTES, size_bytes) as data_set:
        return hashlib.file_digest(data_set, "sha256").digest() == os.pread(descriptor, _DIGEST_BYTES, 0)


def _write(path: Path, made_by: str, transcoded: Transcoded) -> None:
    digest = hashlib.sha256()
    with open(path, "xb", opener=modes.create) as file, transcoded.open() as data_set:
        file.write(bytes(_DIGEST_BYTES) + _digest(made_by))
        while chunk := data_set.read(BUFFER_SIZE_BYTES):
            digest.update(chunk)
            file.write(chunk)
        file.seek(0)
        file.write(digest.digest())


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process was quicker, or the directory cannot be written: then it is said above
        path.unlink()
