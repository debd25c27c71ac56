"""Transcoding with a memory: what was made before is taken again, and what will be wanted is made ahead.

A `Transcoder` is shared by all who send. Each of them has a `TranscodeAhead` of its own, for what it sends one after
the other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

from medserver.codecs.cache import TranscodedCache
from medserver.codecs.syntaxes import compressions, targets
from medserver.codecs.table import made_by
from medserver.codecs.transcoded import Transcoded
from medserver.codecs.transcoding import transcode
from medserver.codecs.workers import Workers

AHEAD_SIZE_MAX_BYTES = 64 * 1024**2
"""Larger objects are not transcoded before their turn: what was made waits in a temporary file."""


class Source(Protocol):
    """A data set that is to be transcoded.

    Attributes
    ----------
    sop_instance_uid, transfer_syntax_uid : str
        What it is.
    size_bytes : int
        Its length.
    digest : str
        Its SHA-256, hexadecimal; empty if it is not to be remembered.
    open_data_set : callable
        Returns a context manager with a binary file at its first byte.
    """

    sop_instance_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    digest: str
    open_data_set: Callable[[], AbstractContextManager[BinaryIO]]


class Transcoder:
    """Transcodes data sets, and remembers what they became.

    Parameters
    ----------
    workers : Workers
        Who does it.
    cache : TranscodedCache, optional
        Where it is remembered; nothing is without.
    directory : str or Path, optional
        Where temporary files are made; by default where the system has them.
    """

    def __init__(
        self, workers: Workers, cache: TranscodedCache | None = None, directory: str | Path | None = None
    ) -> None:
        self.workers = workers
        self.cache = cache
        self.directory = directory or tempfile.gettempdir()

    def forget(self, digest: str, from_uid: str) -> None:
        """Remove what a data set became, and what it may have become in other processes: it has been deleted."""
        if self.cache is not None:
            self.cache.forget(digest, (*targets(from_uid), *compressions(from_uid)))

    @contextmanager
    def transcode(self, source: Source, to_uid: str) -> Iterator[Transcoded]:
        """Bring a data set into another transfer syntax, as `transcoding.transcode` does, or take what is remembered.

        Raises
        ------
        CannotTranscode, TransferSyntaxNotSupported, OutOfResources
            See `transcoding.transcode`.
        StoreFailure
            The data set cannot be read.
        """
        maker = made_by(source.transfer_syntax_uid, to_uid)
        remembered = self.cache.open(source.digest, to_uid, maker) if self.cache and source.digest else None
        if remembered is not None:
            try:
                yield remembered
            finally:
                os.close(remembered.descriptor)
            return
        with (
            source.open_data_set() as stored,
            transcode(
                stored, source.size_bytes, source.transfer_syntax_uid, to_uid, self.workers, self.directory
            ) as transcoded,
        ):
            if self.cache and source.digest:
                self.cache.add(source.digest, to_uid, maker, transcoded)
            yield transcoded


class TranscodeAhead:
    """The transcoding of what is sent one after the other: the next ones are made while one is sent.

    Used by one thread, in a ``with`` block or until it is closed.

    Parameters
    ----------
    transcoder : Transcoder
        Who does it.
    """

    def __init__(self, transcoder: Transcoder) -> None:
        self._transcoder = transcoder
        self._begun: dict[tuple[str, str], Future[tuple[ExitStack, Transcoded]]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> TranscodeAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up what was begun and not asked for."""
        for future in self._begun.values():
            _give_up(future)
        self._begun.clear()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    @property
    def count(self) -> int:
        """How many can be made at a time."""
        return self._transcoder.workers.count

    def begin(self, source: Source, to_uid: str) -> None:
        """Have a data set transcoded that will be asked for soon."""
        key = source.sop_instance_uid, to_uid
        if key in self._begun or len(self._begun) > self.count or source.size_bytes > AHEAD_SIZE_MAX_BYTES:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="transcode ahead")
        self._begun[key] = self._threads.submit(self._made, source, to_uid)

    @contextmanager
    def transcode(self, source: Source, to_uid: str) -> Iterator[Transcoded]:
        """Give what `Transcoder.transcode` gives; it may have been begun.

        What was begun of the same instance in other transfer syntaxes is given up: it would hold the place of others.
        """
        future = self._begun.pop((source.sop_instance_uid, to_uid), None)
        for key in [key for key in self._begun if key[0] == source.sop_instance_uid]:
            _give_up(self._begun.pop(key))
        if future is None:
            with self._transcoder.transcode(source, to_uid) as transcoded:
                yield transcoded
            return
        stack, transcoded = future.result()
        with stack:
            yield transcoded

    def _made(self, source: Source, to_uid: str) -> tuple[ExitStack, Transcoded]:
        with ExitStack() as stack:
            transcoded = stack.enter_context(self._transcoder.transcode(source, to_uid))
            return stack.pop_all(), transcoded


def _give_up(future: Future[tuple[ExitStack, Transcoded]]) -> None:
    if not future.cancel():
        future.add_done_callback(_drop)


def _drop(future: Future[tuple[ExitStack, Transcoded]]) -> None:
    """Let go of what nobody wants any more; an error is of no interest then."""
    if future.exception() is None:
        future.result()[0].close()
