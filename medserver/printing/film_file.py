"""The images that a film brings with it: one file on a volume, durable before the film is entered.

It is a ZIP archive without compression, so that each image has a checksum, which is compared when it is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import RawIOBase

from medserver.errors import DamagedObject
from medserver.store import Volume

CHUNK_BYTES = 1 << 20


class _Chunks(RawIOBase):
    """A file that remembers what was written since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written, and forget it."""
        taken, self._written = b"".join(self._written), []
        return taken


def write_film_file(volume: Volume, uid: str, images: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write the images of a film; when this returns they are durable, in a file of its UID.

    Parameters
    ----------
    volume : Volume
        Where to.
    uid : str
        The UID of the film.
    images : iterable of (str, iterable of bytes)
        The name of each, see `film.ReceivedImage`, and its bytes.

    Raises
    ------
    OutOfResources, StoreFailure
        They cannot be written; nothing remains.
    """
    volume.films.put(uid, _packed(images))


def _packed(images: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    chunks = _Chunks()
    with zipfile.ZipFile(chunks, "w") as archive:
        for name, content in images:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                for chunk in content:
                    member.write(chunk)
                    yield chunks.take()
    yield chunks.take()


@contextmanager
def film_file(volume: Volume, uid: str) -> Iterator[zipfile.ZipFile]:
    """Open the images of a film; each is checked while it is read to its end.

    Raises
    ------
    DamagedObject
        There are none, or they are damaged.
    StoreFailure
        They cannot be read.
    """
    with volume.films.open(uid) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (zipfile.BadZipFile, KeyError, EOFError) as error:
            raise DamagedObject(f"the images of film {uid} are damaged: {error}") from None
