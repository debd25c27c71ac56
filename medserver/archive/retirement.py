"""An original is let go when what it was compressed to has proved itself in its place.

Its row stays, without a file: who sends it again is told that it is stored, by the form of it that is. Until then it is
there for the case that the compressed form is lost.
"""

from __future__ import annotations

import logging

from medserver.archive.adoption import record_of_file, warn_of_conflicts
from medserver.archive.follow_ups import surplus_job
from medserver.archive.pixels import pixel_difference
from medserver.crash import crash_point
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import StoreFailure
from medserver.index import GOOD, ObjectKey, StoredCopy, key_of_original
from medserver.log import Event
from medserver.node import Node

logger = logging.getLogger(__name__)


def retire_original(node: Node, form: ObjectKey) -> list[str]:
    """Forget the copies of what an object was compressed from, and have their files removed.

    The pixels of the compressed form are decoded here and compared with those of the original. Its bytes are read again
    on each volume before a file of the original is removed there, see `destruction.Surplus`.

    Parameters
    ----------
    node : Node
        Where both lie.
    form : ObjectKey
        The compressed form.

    Returns
    -------
    list of str
        The volumes that have the original and no good copy of the compressed form: nothing was changed. Empty if there
        is nothing left to do: the original is let go, or stays for good because its form is not what it should be, is
        gone, or is not in its place any more.

    Raises
    ------
    StoreFailure, DamagedObject
        The compressed form cannot be read.
    OutOfResources, IndexFailure
        There is no space, or the index does not work.
    """
    original = node.index.forms.original_of(form)
    if original is None or not transfer_syntax(form.transfer_syntax_uid).encapsulated:
        return []
    key = key_of_original(form.sop_instance_uid, original)
    copies = [copy for copy in node.index.copies_of(key) if copy.volume in node.volumes]
    if not copies or copies[0].is_current:
        return []
    forms = [copy for copy in node.index.copies_of(form) if copy.state == GOOD]
    lacking = {copy.volume for copy in copies} - {copy.volume for copy in forms}
    if lacking:
        return sorted(lacking)
    if difference := pixel_difference(node, forms[0], original):
        uid, digest = key.sop_instance_uid, key.digest
        logger.error(Event("original kept", sop_instance_uid=uid, digest=digest, reason=difference))
        return []
    jobs = [surplus_job(copy.volume, [(copy.path, form)], where=copy.volume) for copy in copies]
    node.index.release(copies, jobs, unless_current=True)
    crash_point("original released")
    return []


def take_back_original(node: Node, form: StoredCopy) -> bool:
    """Let an original take the place of its compressed form again, of which no good copy is left.

    May be called again after it was interrupted anywhere.

    Parameters
    ----------
    node : Node
        Where both lie.
    form : StoredCopy
        Any copy of the compressed form.

    Returns
    -------
    bool
        False if it was not made here, or no copy of its original is good; nothing was changed.

    Raises
    ------
    IndexFailure, OutOfResources
        The index does not work.
    """
    original = node.index.forms.original_of(form.key)
    if original is None:
        return False
    key = key_of_original(form.sop_instance_uid, original)
    for copy in node.index.copies_of(key):
        if copy.state != GOOD or copy.volume not in node.volumes:
            continue
        try:
            record = record_of_file(node.volumes[copy.volume], copy.path, verify=True)
        except StoreFailure:
            continue
        jobs = [surplus_job(one.volume, [(one.path, key)]) for one in node.index.copies_of(form.key)]
        conflicts = node.index.take_back(record, form.key, jobs)
        if conflicts is None:
            return False
        warn_of_conflicts(record, conflicts)
        logger.error(Event("original taken back", sop_instance_uid=form.sop_instance_uid, digest=form.digest))
        return True
    return False
