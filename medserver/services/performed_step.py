"""Modality Performed Procedure Step as SCP (PS3.4 F.7), and its retrieve (PS3.4 F.8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from struct import iter_unpack

from medserver.dicom import status
from medserver.dicom.character_sets import UNICODE_UTF_8
from medserver.dicom.json_model import JSON, SPECIFIC_CHARACTER_SET, read_json, write_json
from medserver.dicom.uids import new_uid
from medserver.errors import InvalidArgument
from medserver.log import Event
from medserver.node import Node
from medserver.procedures import performed
from medserver.services.identifier import DEPTH_MAX
from medserver.services.received import received_data_set
from medserver.services.request import Request, Response

ATTRIBUTE_LIST_SIZE_MAX_BYTES = 8 * 1024 * 1024
ATTRIBUTE_LIST_ELEMENTS_MAX = 100_000
"""What an attribute list may have: it names every instance of the step, three elements each."""

logger = logging.getLogger(__name__)


def create(request: Request, node: Node) -> Response:
    """Create a performed procedure step (N-CREATE); it gets a UID if it has none (PS3.7 10.1.5.1.4).

    Raises
    ------
    CannotUnderstand
        The attribute list cannot be read.
    OutOfResources
        It is too long.
    RequestError
        See `performed.create`.
    """
    uid = str(request.message.command_set.get("AffectedSOPInstanceUID") or new_uid())
    with _attribute_list(request) as attributes:
        performed.create(node, uid, attributes, request.association.requestor.ae_title.strip())
    logger.info(Event("step created", sop_instance_uid=uid))
    return Response(elements={"AffectedSOPInstanceUID": uid})


def modify(request: Request, node: Node) -> Response:
    """Change a performed procedure step (N-SET).

    Raises
    ------
    CannotUnderstand
        The modification list cannot be read.
    OutOfResources
        It is too long.
    RequestError
        See `performed.modify`.
    """
    uid = str(request.message.command_set.get("RequestedSOPInstanceUID") or "")
    with _attribute_list(request) as modifications:
        ignored = performed.modify(node, uid, modifications)
    logger.info(Event("step changed", sop_instance_uid=uid))
    elements = {"AffectedSOPInstanceUID": uid}
    if ignored:
        return Response(status.ATTRIBUTE_LIST_ERROR, f"not changed: {', '.join(ignored)}", elements=elements)
    return Response(elements=elements)


def retrieve(request: Request, node: Node) -> Response:
    """Give the attributes of a performed procedure step, or those of the Attribute Identifier List (N-GET).

    Raises
    ------
    InvalidArgument
        The list is none.
    NoSuchInstance
        There is no step of this UID.
    """
    command_set = request.message.command_set
    uid = str(command_set.get("RequestedSOPInstanceUID") or "")
    raw = command_set.get("AttributeIdentifierList") or b""
    if not isinstance(raw, bytes) or len(raw) % 4:
        raise InvalidArgument("the Attribute Identifier List is not a list of tags")
    tags = [group << 16 | element for group, element in iter_unpack("<HH", raw)]
    content = {**performed.retrieve(node, uid, tags), SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": [UNICODE_UTF_8]}}
    identifier = write_json(content, request.context.transfer_syntax_uid)
    return Response(identifier=identifier, elements={"AffectedSOPInstanceUID": uid})


@contextmanager
def _attribute_list(request: Request) -> Iterator[JSON]:
    """Give the attribute list or modification list of a request, while it is the turn of that."""
    with received_data_set(request, ATTRIBUTE_LIST_SIZE_MAX_BYTES) as raw:
        yield read_json(
            raw,
            request.context.transfer_syntax_uid,
            elements_max=ATTRIBUTE_LIST_ELEMENTS_MAX,
            depth_max=DEPTH_MAX,
        )
