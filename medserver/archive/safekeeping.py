"""How many copies an object has before its reception is answered: ``[store] copies_before_success``.

The object is on the primary volume and in the index when this begins. If too few volumes take a copy the reception
fails, though the object stays: the sender sends it again, and it is the same then.
"""

from __future__ import annotations

from medserver.archive.replication import copy_object
from medserver.errors import OutOfResources, StoreFailure
from medserver.index import GOOD, InstanceRecord, StoredCopy
from medserver.node import Node

_COUNTED_ROLES = ("primary", "replica")


def require_copies(node: Node, record: InstanceRecord) -> None:
    """Make copies of an object on replicas until there are as many as the configuration demands.

    Parameters
    ----------
    node : Node
        Where the object lies.
    record : InstanceRecord
        What was entered into the index.

    Raises
    ------
    OutOfResources
        There are too few. Those that were made stay.
    IndexFailure
        The index does not tell.
    """
    config = node.config.current
    wanted = config.store.copies_before_success
    if wanted <= 1:
        return
    names = [volume.name for volume in config.volumes_to_read if volume.role in _COUNTED_ROLES]
    copies = [copy for copy in _copies(node, record) if copy.state == GOOD]
    present = {copy.volume for copy in copies} & set(names)
    reasons = []
    for name in names:
        if name not in present and len(present) < wanted and copies:
            try:
                copy_object(node, copies[0], node.volume(name))
                present.add(name)
            except (OutOfResources, StoreFailure) as error:
                reasons.append(str(error))
    if len(present) < wanted:
        raise OutOfResources(f"{len(present)} of {wanted} copies: {'; '.join(reasons)}")


def _copies(node: Node, record: InstanceRecord) -> list[StoredCopy]:
    """Return the copies of an object, or those of the form that has taken its place."""
    if copies := node.index.copies_of(record.key):
        return copies
    form = node.index.forms.current_form_of(record.key)
    return node.index.copies_of(form) if form is not None else []
