"""The answer to a search (PS3.18 10.6.3)."""

from __future__ import annotations

import logging

from medserver.dicom.data_sets import write_data_set
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import BadRequest, IdentifierMismatch
from medserver.log import Event
from medserver.node import Node
from medserver.web.audit import tell_search
from medserver.web.documents import NO_CONTENT, sent
from medserver.web.negotiation import METADATA
from medserver.web.request import Answer, Request, warning
from medserver.web.retrieve import KEYWORDS
from medserver.web.search import found, search_of

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
    headers = {"cache-control": "no-cache", **warning(request.base, *search.warnings)}
    logger.info(Event("QIDO-RS", level=level, answers=len(matches)))
    return sent(matches, selected.offer, headers) if matches else Answer(NO_CONTENT, headers=headers)
