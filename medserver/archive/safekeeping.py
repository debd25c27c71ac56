"""How many copies an object has before its reception is answered: ``[store] copies_before_success``.

The object is on the primary volume and in the index when this begins. If too few volumes take a copy the reception
fails, though the object stays: the sender sends it again, and it is the same then.
"""

from __future__ import annotations

from medserver.archive.copies import copies_that_stand_for, is_there
from medserver.archive.replication import copy_object
from medserver.config import Config
from medserver.errors import OutOfResources, StoreFailure
from medserver.index import GOOD, InstanceRecord, StoredCopy
from medserver.node import Node

_COUNTED_ROLES = ("primary", "replica")


def require_copies(node: Node, config: Config, record: InstanceRecord) -> None:
    """Make copies of an object on replicas until there are as many as the configuration demands.

    Parameters
    ----------
    node : Node
        Where the object lies.
    config : Config
        By which it was received.
    record : InstanceRecord
        What was entered into the index.

    Raises
    ------
    OutOfResources
        There are too few. Those that were made stay.
    IndexFailure
        The index does not tell.
    """
    wanted = config.store.copies_before_success
    if wanted <= 1:
        return
    names = [volume.name for volume in config.volumes_to_read if volume.role in _COUNTED_ROLES]
    good = [copy for copy in copies_that_stand_for(node, record.key) if copy.state == GOOD and copy.volume in names]
    copies = [copy for copy in good if is_there(node, copy)]  # one on a volume that is away may be lost
    present = {copy.volume for copy in copies}
    not_there = {copy.volume for copy in good if copy.volume not in present and _is_good_still(node, copy)}
    reasons = [f"the copy on {name} cannot be reached" for name in names if name in not_there]
    for name in names:
        if name not in present | not_there and len(present) < wanted and copies:
            try:
                copy_object(node, copies[0], node.volume(name))
                present.add(name)
            except (OutOfResources, StoreFailure) as error:
                reasons.append(str(error))
    if len(present) < wanted:
        raise OutOfResources(f"{len(present)} of {wanted} copies: {'; '.join(reasons)}")


def _is_good_still(node: Node, copy: StoredCopy) -> bool:
    """Tell whether a copy that is not there was not found to be bad: then it cannot be replaced now."""
    found = node.index.location(copy.volume, copy.path)
    return found is not None and found.state == GOOD
