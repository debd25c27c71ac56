"""Files that the index does not know and does not need, and why: they are left by what was interrupted."""

from __future__ import annotations

from medserver.archive.adoption import record_of_file
from medserver.archive.copies import copies_that_stand_for
from medserver.archive.destruction import Ordered, Reason, Surplus, destroy
from medserver.archive.follow_ups import removal_job, surplus_job
from medserver.errors import StoreFailure
from medserver.index import GOOD, InstanceRecord, NewJob
from medserver.node import Node
from medserver.store import Volume


def why_surplus(node: Node, volume: Volume, path: str) -> tuple[Reason, str] | None:
    """Tell why nobody needs a file that the index does not know.

    Parameters
    ----------
    node : Node
        With the index.
    volume : Volume
        Where the file lies.
    path : str
        Its path there.

    Returns
    -------
    tuple of Reason and str, or None
        For `destruction.destroy`, and one line for people. None if it is needed, or cannot be read: a file of an object
        that is stored nowhere else, or of a copy that this volume lacks.
    """
    try:
        record = record_of_file(volume, path, verify=False)
    except StoreFailure:
        return None
    if node.index.tombstones.is_deleted(record):
        return Ordered(), "it was deleted on purpose"
    for copy in copies_that_stand_for(node, record.key):
        if copy.volume == volume.name and copy.state == GOOD:
            what = "it" if copy.key == record.key else "what was made from it"
            return Surplus(copy.key, volume.name), f"{what} is stored as {copy.path}"
    if record.duplicates == "reject" and _is_taken(node, record):
        return Ordered(), "it was refused: another object has its SOP Instance UID"
    return None


def removal_jobs_of_surplus(node: Node, volume: Volume, path: str) -> list[NewJob]:
    """Return what removes a file that nobody needs; nothing if it is needed. As for `why_surplus`."""
    found = why_surplus(node, volume, path)
    if found is None:
        return []
    reason, _ = found
    if isinstance(reason, Surplus):
        return [surplus_job(volume.name, [(path, reason.key)], where=reason.volume)]
    return [removal_job(volume.name, [path])]


def remove_surplus(node: Node, volume: Volume, path: str) -> bool:
    """Remove a file that nobody needs; False if it is needed.

    Parameters
    ----------
    node : Node
        With the index, which nobody else uses meanwhile: who receives enters a file a moment after it was written.
    volume, path
        As for `why_surplus`.

    Raises
    ------
    StoreFailure, IndexFailure
        The volume or the index does not work.
    """
    found = why_surplus(node, volume, path)
    return found is not None and destroy(node, volume, path, because=found[0])


def _is_taken(node: Node, record: InstanceRecord) -> bool:
    present = node.index.instances([record.sop_instance_uid]).get(record.sop_instance_uid)
    return present is not None and present.key != record.key
