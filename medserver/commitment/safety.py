"""Whether an instance is safe, and if not, why: the Failure Reasons of PS3.3 C.14.1.1."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from medserver import archive
from medserver.dicom import status
from medserver.dicom.storage_commitment import SAFE, Reference
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import StoredCopy
from medserver.log import Event
from medserver.node import Node

REASONS: Mapping[int, str] = MappingProxyType({
    status.PROCESSING_FAILURE: "A copy cannot be read or is not what was received, and too few others are intact.",
    status.NO_SUCH_INSTANCE: "The instance is not in the archive.",
    status.CLASS_INSTANCE_CONFLICT: "The instance is in the archive under another SOP class.",
    status.DUPLICATE_TRANSACTION_UID: "The AE has asked for other instances under this Transaction UID.",
    status.RESOURCE_LIMITATION: "There were too few copies an hour after the request.",
})
"""Every Failure Reason that is given, and when."""

logger = logging.getLogger(__name__)


def failure_reason(node: Node, reference: Reference, stored: StoredCopy | None) -> int | None:
    """Read the copies of an instance until enough of them are found intact.

    Parameters
    ----------
    reference : Reference
        What a peer wants to be safe.
    stored : StoredCopy or None
        What the index has under its SOP Instance UID.

    Returns
    -------
    int or None
        `SAFE`, or a Failure Reason. None if no copy is damaged but there are too few: more may be on their way.
    """
    if stored is None:
        return status.NO_SUCH_INSTANCE
    if stored.sop_class_uid != reference.sop_class_uid:
        return status.CLASS_INSTANCE_CONFLICT
    intact, damaged = 0, False
    for copy in node.index.copies_of(stored):
        try:
            archive.verify(node, copy)
        except StoreFailure as error:
            damaged = True
            if isinstance(error, DamagedObject):
                archive.report_damage(node, copy.volume, copy.path, str(error))
            uid = stored.sop_instance_uid
            logger.error(Event("not safe", sop_instance_uid=uid, volume=copy.volume, problem=str(error)))
            continue
        intact += 1
        if intact >= node.config.current.store.commitment_copies:
            return SAFE
    return status.PROCESSING_FAILURE if damaged else None
