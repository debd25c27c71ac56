"""What a C-GET brings, as files in a folder: one Part 10 file for each instance, the data set exactly as it came."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medserver import modes
from medserver.dicom import status
from medserver.dicom.part10 import FileMeta
from medserver.dicom.uids import is_valid_uid
from medserver.wire.association import AcceptedContext
from medserver.wire.message import Message


class ReceivedFiles:
    """Writes received instances into a folder, each under its SOP Instance UID.

    A file is there under its name when it is complete and on stable storage, or not at all. An instance that is
    received again replaces its file.

    Parameters
    ----------
    directory : Path
        The folder; it exists.
    source_ae_title : str
        The AE that sends.
    size_max_bytes : int
        The longest data set that is taken.
    on_received : callable, optional
        Called after each instance with the length of its data set.

    Attributes
    ----------
    sop_instance_uids : set of str
        What has been received.
    size_bytes : int
        The length of all data sets together.
    problems : dict of str to str
        What could not be written, by SOP Instance UID, and why.
    """

    def __init__(
        self,
        directory: Path,
        source_ae_title: str,
        size_max_bytes: int,
        on_received: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self._directory = directory
        self._source_ae_title = source_ae_title
        self._size_max_bytes = size_max_bytes
        self._on_received = on_received
        self.sop_instance_uids: set[str] = set()
        self.size_bytes = 0
        self.problems: dict[str, str] = {}

    def receive(self, context: AcceptedContext, message: Message) -> int:
        """Write one instance, and return the status to answer.

        The names of files are made from what the peer says: only a valid UID becomes one.

        Raises
        ------
        OSError
            It cannot be written.
        AssociationAborted
            The association ended before the data set did.
        """
        sop_instance_uid = str(message.command_set.get("AffectedSOPInstanceUID", ""))
        if not is_valid_uid(sop_instance_uid):
            return status.INVALID_OBJECT_INSTANCE
        if (
            message.command_set.get("AffectedSOPClassUID") != context.abstract_syntax
            or not message.has_data_set
        ):
            return status.DATA_SET_MISMATCH
        meta = FileMeta(
            context.abstract_syntax, sop_instance_uid, context.transfer_syntax_uid, self._source_ae_title
        )
        temporary = self._directory / f".{sop_instance_uid}.{secrets.token_hex(4)}.part"
        try:
            size_bytes = self._write(temporary, meta, message)
            if size_bytes is None:
                return status.OUT_OF_RESOURCES
            os.replace(temporary, self._directory / f"{sop_instance_uid}.dcm")
            modes.flush_directory(self._directory)
        except OSError as error:
            self.problems[sop_instance_uid] = error.strerror or str(error)
            raise
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        self.sop_instance_uids.add(sop_instance_uid)
        self.size_bytes += size_bytes
        self._on_received(size_bytes)
        return status.SUCCESS

    def _write(self, path: Path, meta: FileMeta, message: Message) -> int | None:
        """Write a new file to stable storage; return the length of its data set, None if that is too long."""
        size_bytes = 0
        with path.open("xb", buffering=0) as file:
            _write_all(file.fileno(), meta.encode())
            for fragment in message.fragments():
                size_bytes += len(fragment)
                if size_bytes > self._size_max_bytes:
                    return None
                _write_all(file.fileno(), fragment)
            os.fsync(file.fileno())
        return size_bytes


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it: a single write may take less."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
