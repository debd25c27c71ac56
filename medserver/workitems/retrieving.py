"""A work item is read: all of it, or some attributes, never its Transaction UID (PS3.4 CC.2.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from medserver.dicom import uids
from medserver.errors import NoSuchWorkitem
from medserver.index import Workitem
from medserver.node import Node
from medserver.workitems.content import content_of, data_set


def retrieve(node: Node, sop_instance_uid: str, tags: Iterable[int] = ()) -> dict[str, Any]:
    """Return the attributes of an item as DICOM JSON, or some of them.

    Raises
    ------
    NoSuchWorkitem
        There is none of this UID.
    """
    row = node.index.workitems.get(sop_instance_uid)
    if row is None:
        raise NoSuchWorkitem("there is no work item of this UID")
    content, wanted = attributes_of(row), {f"{tag:08X}" for tag in tags}
    return {tag: one for tag, one in content.items() if tag in wanted} if wanted else content


def attributes_of(row: Workitem) -> dict[str, Any]:
    """Return the attributes of an item, with those that stand in its row."""
    own = data_set(
        SOPClassUID=uids.UNIFIED_PROCEDURE_STEP_PUSH,
        SOPInstanceUID=row.sop_instance_uid,
        ProcedureStepState=row.state,
    )
    return content_of(row.content) | own
