"""A stored object is replaced by its compressed form, which is a file of its own and says what it was made from.

The compressed file stands where the original stands in the order of receipt, a microsecond behind it, so that an index
made anew comes to the same. The original becomes a duplicate in the transaction that enters the new one; `retirement`
lets it go.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from itertools import takewhile
from typing import BinaryIO

from medserver.archive.adoption import adopt, record_of, record_of_file
from medserver.archive.copies import Copy
from medserver.archive.destruction import NotEntered, destroy
from medserver.archive.fetch import open_object
from medserver.archive.header import HeaderReader, check_identity
from medserver.codecs import Transcoded, transcode
from medserver.crash import crash_point
from medserver.dicom.part10 import FileMeta, Original, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import DamagedObject, MedserverError
from medserver.index.objects.lineage import BEHIND
from medserver.node import Node
from medserver.region import BUFFER_SIZE_BYTES
from medserver.store import paths


def compress_object(node: Node, location: Copy, transfer_syntax_uid: str) -> bool:
    """Replace an instance by its compressed form, if that is shorter.

    May be called again after it was interrupted anywhere.

    Parameters
    ----------
    node : Node
        Where it is stored.
    location : StoredCopy
        Any copy of it.
    transfer_syntax_uid : str
        Into which it is brought, without loss: every frame is decoded again and compared.

    Returns
    -------
    bool
        Whether it was. If not, the compressed form is no shorter, or the instance is another object meanwhile.

    Raises
    ------
    CannotTranscode, TransferSyntaxNotSupported
        It cannot be brought into the transfer syntax.
    DamagedObject, OutOfResources, StoreFailure, IndexFailure
        It cannot be read, or the new one not be written.
    """
    opened = open_object(node, location)
    with (
        opened.data_set as data_set,
        transcode(
            data_set,
            location.size_bytes,
            location.transfer_syntax_uid,
            transfer_syntax_uid,
            node.transcoder.workers,
            node.transcoder.directory,
        ) as transcoded,
    ):
        if transcoded.pixel_digest is None or transcoded.size_bytes >= location.size_bytes:
            return False
        file_meta = _file_meta(location, opened.file_meta, transfer_syntax_uid, transcoded.pixel_digest)
        return put_in_place(node, location, file_meta, transcoded)


def _file_meta(location: Copy, encoded: bytes, transfer_syntax_uid: str, pixel_digest: str) -> FileMeta:
    before = read_file_meta(io.BytesIO(encoded))
    return FileMeta(
        sop_class_uid=location.sop_class_uid,
        sop_instance_uid=location.sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        source_ae_title=before.source_ae_title,
        received_at=(before.received_at or paths.sealed_minute(location.path)) + BEHIND,
        duplicates="replace",
        original=Original(location.transfer_syntax_uid, location.digest, location.size_bytes, pixel_digest),
    )


def put_in_place(node: Node, location: Copy, file_meta: FileMeta, transcoded: Transcoded) -> bool:
    """Write another form of an object beside it, read that back, and enter it.

    Parameters
    ----------
    node : Node
        Where the object is stored.
    location : StoredCopy
        Any copy of it.
    file_meta : FileMeta
        Of the new form: it says what it was made from, and that it replaces.
    transcoded : Transcoded
        The new form.

    Returns
    -------
    bool
        Whether it is stored. If not, it is there already, the instance is another object meanwhile, or the object is
        deleted, or to be.

    Raises
    ------
    DamagedObject, OutOfResources, StoreFailure, IndexFailure
        It cannot be written.
    """
    volume = node.primary_volume
    path = paths.beside(location.path, _digest_of(transcoded))
    if node.index.has_location(volume.name, path):
        return False
    reader = HeaderReader(transfer_syntax(file_meta.transfer_syntax_uid))
    writer = volume.create(file_meta.encode(), path, replace=True)  # an interrupted attempt may have left it
    try:
        with transcoded.open() as data_set:
            while chunk := data_set.read(BUFFER_SIZE_BYTES):
                if not reader.has_enough:
                    reader.feed(chunk)
                writer.write(chunk)
        stored = writer.seal(node.clock())
    finally:
        writer.abandon()
    crash_point("compressed written")
    try:
        volume.verify(stored)
        header = reader.header()
        check_identity(header, file_meta.sop_class_uid, file_meta.sop_instance_uid)
        added = adopt(node, record_of(file_meta, header, stored), made_from=location)
    except MedserverError:
        destroy(node, volume, path, because=NotEntered())
        raise
    crash_point("compressed entered")
    if not added.file_needed:
        destroy(node, volume, path, because=NotEntered())
        return False
    return True


def remove_left_form(node: Node, path: str) -> None:
    """Remove what an interrupted compression left of an object that is deleted since: nobody ever knew of it.

    Parameters
    ----------
    node : Node
        Whose primary volume it lies on.
    path : str
        Where the object lay. A form lies in the same folder and says what it was made from.

    Raises
    ------
    StoreFailure, IndexFailure
        The volume or the index does not work.
    """
    volume, digest = node.primary_volume, paths.digest_of(path)
    minute = paths.directory_of(path)
    folder = takewhile(lambda one: paths.directory_of(one) == minute, volume.walk(minute))
    for left in [one for one in folder if not node.index.has_location(volume.name, one)]:
        with suppress(DamagedObject):
            record = record_of_file(volume, left, verify=False)
            original = record.original_key
            # While its original is there, or is there again, somebody may be about to enter it.
            if original is not None and original.digest == digest and not node.index.versions.has(original):
                destroy(node, volume, left, because=NotEntered())


def _digest_of(transcoded: Transcoded) -> str:
    data_set: BinaryIO
    with transcoded.open() as data_set:
        return hashlib.file_digest(data_set, "sha256").hexdigest()
