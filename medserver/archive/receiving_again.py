"""What is stored and comes again: success is a promise about the bytes that are there, so they are read first."""

from __future__ import annotations

from datetime import timedelta

from medserver.archive.adoption import counted
from medserver.archive.copies import as_stored, copies_that_stand_for, is_there
from medserver.archive.damage import report_damage
from medserver.archive.header import Header
from medserver.crash import crash_point
from medserver.dicom.part10 import FileMeta
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import GOOD, ObjectKey, StoredCopy, Transfer
from medserver.node import Node
from medserver.store import ObjectWriter


def is_received_again(
    node: Node, file_meta: FileMeta, writer: ObjectWriter, header: Header, transfer: Transfer | None = None
) -> bool:
    """Take note that an object comes again, if it is still in memory and a good copy of it is stored.

    Parameters
    ----------
    node : Node
        Where it is stored.
    file_meta : FileMeta
        What the sender announced.
    writer : ObjectWriter
        Its bytes.
    header : Header
        What they say of themselves.
    transfer : Transfer, optional
        As for `ingest.receive`.

    Returns
    -------
    bool
        False if it must be stored. If not, nothing is written but that it was received; durable.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    if not writer.is_in_memory:
        return False
    key = ObjectKey(file_meta.sop_instance_uid, writer.digest, file_meta.transfer_syntax_uid)
    wanted = node.config.current.store.copies_before_success
    if wanted > 1 and len({copy.volume for copy in _copies_of(node, key) if is_there(node, copy)}) < wanted:
        return False  # storing it anew makes those that lack
    again = None if transfer is None else counted(transfer, file_meta.sop_class_uid, header.values, "R")
    is_again = find_good_copy(node, key) and node.index.receive_again(key, again)
    if is_again:
        crash_point("receipt counted")
    return is_again


def find_good_copy(node: Node, key: ObjectKey) -> bool:
    """Tell whether an object, or what was made from it and has taken its place, is stored and what it was.

    A copy that has been read within ``[store] verify_interval`` is believed if it is there: who was told that it is
    safe sends it no more, and a volume that is away may be lost. One that turns out to be bad is noted.
    """
    within = timedelta(seconds=node.config.current.store.verify_interval)
    for copy in _copies_of(node, key):
        if copy.verified_at is not None and timedelta() <= node.clock() - copy.verified_at < within:
            if is_there(node, copy):
                return True
            continue
        try:
            node.volume(copy.volume).verify(as_stored(copy))
        except DamagedObject as error:
            report_damage(node, copy.volume, copy.path, str(error))
        except StoreFailure:
            continue
        else:
            node.index.upkeep.note_verified([copy], node.clock())
            return True
    return False


def _copies_of(node: Node, key: ObjectKey) -> list[StoredCopy]:
    return [copy for copy in copies_that_stand_for(node, key) if copy.state == GOOD and copy.volume in node.volumes]
