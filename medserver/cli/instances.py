"""What a command line means by a UID: a study, a series or an instance."""

from __future__ import annotations

from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import is_valid_uid
from medserver.errors import BadUsage, NoSuchInstance
from medserver.index import StoredCopy
from medserver.log import escaped
from medserver.node import Node

_UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def instances_of(node: Node, uid: str) -> list[StoredCopy]:
    """Return the instances of the study or series with a UID, or the one that has it.

    Raises
    ------
    BadUsage
        It is not a UID.
    NoSuchInstance
        There is nothing of this UID.
    """
    if not is_valid_uid(uid):
        raise BadUsage(f"{escaped(uid)} is not a UID")
    for keyword in _UID_KEYWORDS:
        if found := list(node.index.select([SingleValue(keyword, uid)])):
            return found
    raise NoSuchInstance(f"there is no study, series or instance {uid}")
