"""Modality Performed Procedure Step as SCP (PS3.4 F.7), and its retrieve (PS3.4 F.8)."""

from __future__ import annotations

import logging
from struct import iter_unpack

from medserver.dicom import status
from medserver.dicom.uids import new_uid
from medserver.errors import InvalidArgument
from medserver.log import Event
from medserver.node import Node
from medserver.procedures import performed
from medserver.scu.exchange import encode_data_set
from medserver.services.identifier import read_identifier
from medserver.services.request import Request, Response

UNICODE = "ISO_IR 192"

logger = logging.getLogger(__name__)


def create(request: Request, node: Node) -> Response:
    """Create a performed procedure step (N-CREATE); it gets a UID if it has none (PS3.7 10.1.5.1.4).

    Raises
    ------
    CannotUnderstand
        The attribute list cannot be read.
    RequestError
        See `performed.create`.
    """
    uid = str(request.message.command_set.get("AffectedSOPInstanceUID") or new_uid())
    attributes = read_identifier(request, node)
    performed.create(node, uid, attributes, request.association.requestor.ae_title.strip())
    logger.info(Event("step created", sop_instance_uid=uid))
    return Response(elements={"AffectedSOPInstanceUID": uid})


def modify(request: Request, node: Node) -> Response:
    """Change a performed procedure step (N-SET).

    Raises
    ------
    CannotUnderstand
        The modification list cannot be read.
    RequestError
        See `performed.modify`.
    """
    uid = str(request.message.command_set.get("RequestedSOPInstanceUID") or "")
    ignored = performed.modify(node, uid, read_identifier(request, node))
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
    dataset = performed.retrieve(node, uid, tags)
    dataset.SpecificCharacterSet = UNICODE
    identifier = encode_data_set(dataset, request.context.transfer_syntax_uid)
    return Response(identifier=identifier, elements={"AffectedSOPInstanceUID": uid})
