"""A shelf in a bucket: names below ``backups/`` or ``films/``, where no walk finds an object of the volume."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, BinaryIO

from medserver.errors import DamagedObject, MedserverError, StoreFailure
from medserver.store.bucket.connection import BucketConnection, Occupied
from medserver.store.bucket.file import BucketFile
from medserver.store.shelf import checked_name

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes: one of them has to pass within the time of a request."""

GATHERED_MAX_BYTES = 8 * 1024 * 1024


class BucketShelf:
    """See `shelf.Shelf` for the promises.

    Parameters
    ----------
    connection : BucketConnection
        The way to the bucket.
    name : str
        What stands before the names.
    temporary : str
        What stands before names of what is not in its place yet; the volume sweeps there.
    """

    def __init__(self, connection: BucketConnection, name: str, temporary: str) -> None:
        self._connection = connection
        self._name = name
        self._temporary = temporary

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Create a small file with one conditional request; a large one goes in parts to a temporary name first."""
        import obstore

        path = f"{self._name}/{checked_name(name)}"
        temporary, parts, gathered = f"{self._temporary}/{secrets.token_hex(16)}.part", None, bytearray()
        try:
            for chunk in chunks:
                gathered += chunk
                if len(gathered) >= GATHERED_MAX_BYTES:
                    parts = self._send(parts, temporary, gathered)
            if parts is None:
                with self._connection.asking(f"write to {self._name}", path) as store:
                    obstore.put(store, path, bytes(gathered), mode="create", use_multipart=False)
                return
            self._send(parts, temporary, gathered)
            with self._connection.asking(f"write to {self._name}", path):
                parts.close()
            with self._connection.asking(f"write to {self._name}", path):
                obstore.copy(self._connection.copying_store(), temporary, path, overwrite=False)
        except Occupied:
            raise StoreFailure(f"{path} exists in the bucket") from None
        finally:
            if parts is not None:
                with suppress(MedserverError):  # the sweep of the volume removes it later
                    self._delete(temporary)

    def _send(self, parts: Any, temporary: str, gathered: bytearray) -> Any:
        """Send what is gathered as parts of a temporary object; return what takes the next."""
        import obstore

        with self._connection.asking(f"write to {self._name}") as store:
            if parts is None:
                parts = obstore.open_writer(store, temporary, buffer_size=PART_BYTES, max_concurrency=2)
            parts.write(bytes(gathered))
        gathered.clear()
        return parts

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading from its first byte."""
        return io.BufferedReader(BucketFile(self._connection, f"{self._name}/{checked_name(name)}"), PART_BYTES)

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        import obstore

        with self._connection.asking("list the backups") as store:
            found = [one["path"] for page in obstore.list(store, prefix=self._name) for one in page]
        return sorted(path.removeprefix(f"{self._name}/") for path in found)

    def delete(self, name: str) -> None:
        """Remove a file durably."""
        with suppress(DamagedObject):  # some services tell that there was none
            self._delete(f"{self._name}/{checked_name(name)}")

    def _delete(self, path: str) -> None:
        import obstore

        with self._connection.asking(f"remove from {self._name}", path) as store:
            obstore.delete(store, path)
