"""Work items over HTTP (UPS-RS, PS3.18 11): the operations that Unified Procedure Step over DIMSE has too."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pydicom.dataset import Dataset

from medserver.dicom.data_sets import write_data_set
from medserver.dicom.dataset_values import value_of
from medserver.dicom.json_model import JSON, read_json
from medserver.dicom.keys import parse_key
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, UNIFIED_PROCEDURE_STEP_PULL
from medserver.errors import (
    BadRequest,
    DataSetTooLarge,
    IdentifierMismatch,
    MedserverError,
    UnsupportedMediaType,
    WorkitemIsFinal,
)
from medserver.log import Event
from medserver.node import Node
from medserver.web import dicom_json
from medserver.web.audit import tell_search, tell_step
from medserver.web.documents import NO_CONTENT, sent
from medserver.web.negotiation import METADATA, Offer
from medserver.web.request import Answer, Request, warning
from medserver.web.search import Search, read_parameter
from medserver.web.store import AE_TITLE_LENGTH_MAX
from medserver.workitems import subscribing
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import value
from medserver.workitems.creating import create as create_workitem
from medserver.workitems.outcomes import CANCELED, Remark
from medserver.workitems.retrieving import attributes_of
from medserver.workitems.retrieving import retrieve as retrieve_workitem
from medserver.workitems.searching import search as search_workitems
from medserver.workitems.states import change_state
from medserver.workitems.updating import update

JSON_TYPE = "application/dicom+json"
PAYLOAD_MAX_BYTES = 8 * 1024 * 1024
ELEMENTS_MAX, DEPTH_MAX = 100_000, 16

CREATED, ACCEPTED = 201, 202

WARNINGS: Mapping[Remark, str] = {
    Remark.CREATED_WITH_MODIFICATIONS: "The Workitem was created with modifications.",
    Remark.ALREADY_CANCELED: "The UPS is already in the requested state of CANCELED.",
    Remark.ALREADY_COMPLETED: "The UPS is already in the requested state of COMPLETED.",
    Remark.ATTRIBUTES_NOT_SUPPORTED: "The Workitem was updated with modifications.",
}
"""What is told of an operation that was not performed quite as asked (PS3.18 11.4.3.2, 11.6.3.2, 11.7.3.2)."""

logger = logging.getLogger(__name__)


def create(request: Request, node: Node) -> Answer:
    """Create a work item (PS3.18 11.4).

    Raises
    ------
    RequestError
        See `creating.create`.
    """
    content = _payload(request)
    uid = _alone(request, "workitem") or value(content, "SOPInstanceUID")
    created = create_workitem(node, uid, _without_identity(content), _requestor(request))
    place = f"{request.base}/workitems/{created.sop_instance_uid}"
    return Answer(CREATED, headers={"location": place, **_warning(request, created.remark)})


def retrieve(request: Request, node: Node) -> Answer:
    """Send a work item (PS3.18 11.5).

    Raises
    ------
    NoSuchWorkitem
        There is none of this UID.
    """
    selected = request.select(METADATA)
    uid = request.path["workitem"]
    content = retrieve_workitem(node, uid)
    tell_step(request, node, uid, content)
    return _sent([content], selected.offer, {})


def modify(request: Request, node: Node) -> Answer:
    """Change attributes of a work item (PS3.18 11.6).

    Raises
    ------
    RequestError
        See `updating.update`.
    """
    content, given = _without_identity(_payload(request)), _alone(request, "transaction-uid")
    try:
        ignored = update(node, request.path["workitem"], content, given)
    except WorkitemIsFinal as error:
        raise BadRequest(str(error)) from None  # where a change of state is 409 (PS3.18 11.6.3.1, 11.7.3.1)
    return Answer(200, headers=_warning(request, Remark.ATTRIBUTES_NOT_SUPPORTED if ignored else None))


def set_state(request: Request, node: Node) -> Answer:
    """Change the state of a work item (PS3.18 11.7).

    Raises
    ------
    WorkitemRefused
        As `outcomes.TABLE` says.
    """
    content = _payload(request)
    state, transaction = value(content, "ProcedureStepState"), value(content, "TransactionUID")
    state = CANCELED if state == "CANCELLED" else state  # PS3.18 11.7.1.4 spells it so
    remark = change_state(node, request.path["workitem"], state, transaction, _requestor(request))
    return Answer(200, headers=_warning(request, remark))


def cancel(request: Request, node: Node) -> Answer:
    """Ask for the end of a work item (PS3.18 11.8); all that the payload may say is optional.

    Raises
    ------
    WorkitemRefused
        As `outcomes.TABLE` says.
    """
    content = _payload(request, may_be_empty=True)
    remark = request_cancel(node, request.path["workitem"], _requestor(request), content)
    return Answer(ACCEPTED, headers=_warning(request, remark))


def search(request: Request, node: Node) -> Answer:
    """Search for work items (PS3.18 11.9); each attribute is a matching key, and items are told whole.

    Raises
    ------
    BadRequest
        A parameter has a value that is not one of it.
    """
    selected, asked = request.select(METADATA), Search("STUDY")
    for name, text in request.parameters:
        read_parameter(asked, name, text)
    try:
        found = (
            parse_key(each.keyword, each.VR, value_of(asked.identifier, each.keyword)) for each in asked.identifier
        )
        conditions = [each for each in found if each is not None]
    except IdentifierMismatch as error:
        raise BadRequest(str(error)) from None
    identifier = write_data_set(asked.identifier, EXPLICIT_VR_LITTLE_ENDIAN)
    tell_search(request, node, identifier, UNIFIED_PROCEDURE_STEP_PULL)
    rows = (row for row in search_workitems(node, conditions) if row is not None)
    page = [attributes_of(row) for row in islice(rows, asked.offset, asked.offset + asked.limit + 1)]
    if len(page) > asked.limit:
        asked.warnings.append("There are more results: ask for them with offset.")
    logger.info(Event("UPS-RS", conditions=len(conditions), answers=min(len(page), asked.limit)))
    headers = warning(request.base, *asked.warnings)
    if not page[: asked.limit]:
        return Answer(NO_CONTENT, headers=headers)
    return _sent(page[: asked.limit], selected.offer, headers)


def subscribe(request: Request, node: Node) -> Answer:
    """Have an AE told of changes of an item, or of all (PS3.18 11.10): by N-EVENT-REPORT over DIMSE.

    Raises
    ------
    UnknownReceiver, NoSuchWorkitem
        The AE cannot be called, or there is no such item.
    """
    lock = (request.parameter("deletionlock") or "false").lower()
    if lock not in ("true", "false"):
        raise BadRequest("deletionlock is true or false")
    subscribing.subscribe(node, request.path["workitem"], request.path["aetitle"], lock == "true")
    return Answer(CREATED)


def unsubscribe(request: Request, node: Node) -> Answer:
    """Have an AE told no more (PS3.18 11.11).

    Raises
    ------
    UnknownReceiver, NoSuchWorkitem
        There is no such AE or item.
    """
    subscribing.unsubscribe(node, request.path["workitem"], request.path["aetitle"])
    return Answer(200)


def suspend(request: Request, node: Node) -> Answer:
    """Have an AE told of no new items (PS3.18 11.12).

    Raises
    ------
    UnknownReceiver
        There is no such AE.
    """
    subscribing.suspend(node, request.path["workitem"], request.path["aetitle"])
    return Answer(200)


def _payload(request: Request, *, may_be_empty: bool = False) -> JSON:
    """Return the data set of a payload in the form that those of DIMSE have, whatever it was.

    Raises
    ------
    UnsupportedMediaType
        It is not DICOM JSON.
    BadRequest, DataSetTooLarge
        It is no data set, or too long.
    """
    raw = b""
    for piece in request.body():
        raw += piece
        if len(raw) > PAYLOAD_MAX_BYTES:
            raise DataSetTooLarge(f"the payload is longer than {PAYLOAD_MAX_BYTES} bytes")
    if may_be_empty and not raw.strip():
        return {}
    if request.content_type.essence not in (JSON_TYPE, "application/json"):
        raise UnsupportedMediaType(f"the payload has to be {JSON_TYPE}")
    try:
        document = json.loads(raw)
        [content] = document if isinstance(document, list) else [document]
        encoded = write_data_set(_data_set(content), EXPLICIT_VR_LITTLE_ENDIAN)
        return read_json(encoded, EXPLICIT_VR_LITTLE_ENDIAN, elements_max=ELEMENTS_MAX, depth_max=DEPTH_MAX)
    except MedserverError:
        raise
    except (*PYDICOM_ERRORS, RecursionError) as error:
        raise BadRequest(f"the payload is no data set in DICOM JSON: {type(error).__name__}") from None


def _data_set(content: Any) -> Dataset:
    """Return a data set from DICOM JSON of others, in UTF-8; bulk data must stand in it."""

    def refuse(*_: object) -> None:
        raise ValueError("bulk data by reference")

    dataset = Dataset.from_json(content, refuse)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def _alone(request: Request, name: str) -> str:
    """Return what stands alone as the query, ``?1.2.3`` (PS3.18 11.4.1, 11.6.1), or as the parameter of this name."""
    return request.parameter(name) or next((each for each, value in request.parameters if not value), "")


def _without_identity(content: JSON) -> JSON:
    """Return attributes without those that stand in the path, as in DIMSE they stand in the command."""
    return {tag: each for tag, each in content.items() if tag not in ("00080016", "00080018")}


def _sent(documents: list[dict[str, Any]], offer: Offer, headers: dict[str, str]) -> Answer:
    documents = [dict(sorted((each | {dicom_json.CHARACTER_SET_TAG: dicom_json.UTF_8}).items())) for each in documents]
    return sent(documents, offer, {"cache-control": "no-cache", **headers})


def _warning(request: Request, remark: Remark | None) -> dict[str, str]:
    return {} if remark is None else warning(request.base, WARNINGS[remark])


def _requestor(request: Request) -> str:
    user = request.principal.user
    return (user.name if user else "HTTP")[:AE_TITLE_LENGTH_MAX]
