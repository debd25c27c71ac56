"""The answer to a search (PS3.18 10.6.3)."""

from __future__ import annotations

import logging

from medserver.dicom.data_sets import write_data_set
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import BadRequest, IdentifierMismatch
from medserver.log import Event
from medserver.node import Node
from medserver.web import dicom_json
from medserver.web.audit import tell_search
from medserver.web.multipart import Part, content_type, new_boundary, written
from medserver.web.negotiation import METADATA
from medserver.web.request import Answer, Request
from medserver.web.retrieve import KEYWORDS
from medserver.web.search import found, search_of

NO_CONTENT = 204

logger = logging.getLogger(__name__)


def answer(level: str, request: Request, node: Node) -> Answer:
    """Search for studies, series or instances.

    Raises
    ------
    BadRequest
        A parameter has a value that is not one of it.
    NotAcceptable
        The answer can be given in no form that is accepted.
    """
    selected = request.select(METADATA)
    search = search_of(level, {KEYWORDS[name]: uid for name, uid in request.path.items()}, request.parameters)
    try:
        matches, has_more = found(node, search, request.base)
    except IdentifierMismatch as error:
        raise BadRequest(str(error)) from None
    tell_search(request, node, write_data_set(search.identifier, EXPLICIT_VR_LITTLE_ENDIAN))
    if has_more:
        search.warnings.append("There are more results: ask for them with offset.")
    headers = {"cache-control": "no-cache"}
    if search.warnings:
        headers["warning"] = ", ".join(f'299 {request.base} "{warning}"' for warning in search.warnings)
    logger.info(Event("QIDO-RS", level=level, answers=len(matches)))
    if not matches:
        return Answer(NO_CONTENT, headers=headers)
    if not selected.offer.is_multipart:
        return Answer(200, dicom_json.joined(matches), selected.offer.media_type, headers)
    boundary = new_boundary()
    parts = (Part(selected.offer.media_type, [dicom_json.native_model(each)]) for each in matches)
    return Answer(200, written(parts, boundary), content_type(selected.offer.media_type, boundary), headers)
