"""Modality Performed Procedure Step as SCP (PS3.4 F.7), and its retrieve (PS3.4 F.8)."""

from __future__ import annotations

import logging

from medserver.dicom import status
from medserver.dicom.uids import new_uid
from medserver.log import Event
from medserver.node import Node
from medserver.procedures import performed
from medserver.services.attribute_list import received_attributes, requested_tags, written_attributes
from medserver.services.request import Request, Response

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
    with received_attributes(request) as attributes:
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
    with received_attributes(request) as modifications:
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
    uid = str(request.message.command_set.get("RequestedSOPInstanceUID") or "")
    content = performed.retrieve(node, uid, requested_tags(request))
    return Response(identifier=written_attributes(request, content), elements={"AffectedSOPInstanceUID": uid})
