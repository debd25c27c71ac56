"""Store (STOW-RS, PS3.18 10.5): the instances of a payload, each received as those of a C-STORE are."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from medserver import archive
from medserver.archive.follow_ups import note_complete
from medserver.dicom import uids
from medserver.dicom.part10 import META_SIZE_MAX_BYTES, FileMeta, read_file_meta
from medserver.errors import BadRequest, DataSetMismatch, MedserverError, SOPClassNotSupported, UnsupportedMediaType
from medserver.log import Event
from medserver.node import Node
from medserver.trail.associations import Carried
from medserver.web import dicom_json
from medserver.web.audit import carried_by
from medserver.web.media_types import media_type_of
from medserver.web.multipart import Part, Reader, content_type, new_boundary, written
from medserver.web.negotiation import METADATA
from medserver.web.request import Answer, Request, warning
from medserver.web.responses import failure_reason_of
from medserver.web.search import retrieve_url

AE_TITLE_LENGTH_MAX = 16
INSTANCES_MAX = 100_000

_CLASS, _INSTANCE, _URL, _REASON = "00081150", "00081155", "00081190", "00081197"
_STORED, _FAILED = "00081199", "00081198"

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What became of the instances of a payload.

    Parameters
    ----------
    stored, failed : list of dict
        Items of the Referenced and the Failed SOP Sequence, in DICOM JSON.
    studies : set of str
        The studies of those that are stored.
    problem : str
        Why the rest of the payload could not be read; empty if it was read to its end.
    """

    stored: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)
    problem: str = ""


def store(request: Request, node: Node) -> Answer:
    """Store the instances of a payload; those that are answered with success are as safe as after a C-STORE.

    Raises
    ------
    UnsupportedMediaType
        The payload does not consist of instances.
    BadRequest
        It cannot be read, and nothing of it is stored.
    NotAcceptable
        The answer can be given in no form that is accepted.
    """
    selected = request.select(METADATA)
    outcome, carried = Outcome(), carried_by(request, node)
    try:
        for file_meta, body in _instances(request):
            _receive(request, node, outcome, file_meta, body, carried)
    except BadRequest as error:
        if not outcome.stored and not outcome.failed:
            raise
        outcome.problem = str(error)
    finally:
        carried.end()
    if request.config.goes_by("association"):
        _note_complete(node, outcome)
    content, status = _answer(request, outcome), _status(outcome)
    logger.info(Event("STOW-RS", stored=len(outcome.stored), failed=len(outcome.failed), status=status))
    headers = warning(request.base, *filter(None, [outcome.problem]))
    if not selected.offer.is_multipart:
        return Answer(status, dicom_json.encode_json(content).encode(), selected.offer.media_type, headers)
    boundary = new_boundary()
    parts = [Part(selected.offer.media_type, [dicom_json.native_model(content)])]
    return Answer(status, written(parts, boundary), content_type(selected.offer.media_type, boundary), headers)


def _instances(request: Request) -> Iterator[tuple[FileMeta | MedserverError, Iterator[bytes]]]:
    """Yield of each instance its file meta information, or why there is none, and the bytes of its data set."""
    kind = request.content_type
    if kind.essence == "application/dicom":
        yield _opened(request.body())
        return
    if kind.essence != "multipart/related":
        raise UnsupportedMediaType("the payload has to be multipart/related or application/dicom")
    named = kind.parameters.get("type", "application/dicom").lower()
    if named != "application/dicom":
        raise UnsupportedMediaType(f"parts of type {named} are not taken: send application/dicom")
    reader = Reader(request.body(), kind.parameters.get("boundary"))
    for headers, body in reader.parts():
        part = media_type_of(headers.get("content-type", "application/dicom"))
        if part is None or part.essence != "application/dicom":
            yield UnsupportedMediaType("a part is not application/dicom"), iter(())
        else:
            yield _opened(body)


def _opened(body: Iterator[bytes]) -> tuple[FileMeta | MedserverError, Iterator[bytes]]:
    """Read the file meta information, and return what follows behind it."""
    head = b""
    for piece in body:
        head += piece
        if len(head) >= META_SIZE_MAX_BYTES:
            break
    try:
        file_meta = read_file_meta(io.BytesIO(head))
    except MedserverError as error:
        return error, iter(())
    return file_meta, _behind(head[file_meta.data_set_offset :], body)


def _behind(head: bytes, body: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from body


def _receive(
    request: Request,
    node: Node,
    outcome: Outcome,
    file_meta: FileMeta | MedserverError,
    body: Iterator[bytes],
    carried: Carried,
) -> None:
    """Receive one instance, and note what became of it."""
    identity = ("", "") if isinstance(file_meta, MedserverError) else (
        file_meta.sop_class_uid, file_meta.sop_instance_uid,
    )  # fmt: skip
    if len(outcome.stored) + len(outcome.failed) >= INSTANCES_MAX:
        raise BadRequest(f"more than {INSTANCES_MAX} instances")
    try:
        if isinstance(file_meta, MedserverError):
            raise file_meta
        uids_of = _received(request, node, file_meta, body, carried)
    except BadRequest:
        raise
    except MedserverError as error:
        logger.info(Event("STOW-RS", sop_instance_uid=identity[1], problem=str(error)))
        reason = {"vr": "US", "Value": [failure_reason_of(error)]}
        carried.fail("", identity[0])
        outcome.failed.append({**_reference(*identity), _REASON: reason})
        return
    outcome.studies.add(uids_of[0])
    url = {"vr": "UR", "Value": [retrieve_url(request.base, uids_of)]}
    outcome.stored.append({**_reference(*identity), _URL: url})


def _received(
    request: Request, node: Node, file_meta: FileMeta, body: Iterator[bytes], carried: Carried
) -> tuple[str, str, str]:
    """Receive one instance; return the UIDs of its study, its series and itself."""
    if file_meta.sop_class_uid not in uids.STORAGE_SOP_CLASSES:
        raise SOPClassNotSupported("the SOP class is not one of Storage")
    user = request.principal.user
    calling = (user.name if user else "HTTP")[:AE_TITLE_LENGTH_MAX]
    with archive.receive(
        node,
        sop_class_uid=file_meta.sop_class_uid,
        sop_instance_uid=file_meta.sop_instance_uid,
        transfer_syntax_uid=file_meta.transfer_syntax_uid,
        calling_ae_title=calling,
        compress_to=request.config.compress_to_of(calling),
        transfer=carried.begin(),
    ) as reception:
        for piece in body:
            reception.write(piece)
        values = reception.header().values
        study = values["study_instance_uid"] or ""
        if request.path.get("study", study) != study:
            raise DataSetMismatch("the instance is of another study than the path names")
        reception.commit()
    return study, values["series_instance_uid"] or "", file_meta.sop_instance_uid


def _reference(sop_class_uid: str, sop_instance_uid: str) -> dict[str, Any]:
    named = {_CLASS: sop_class_uid, _INSTANCE: sop_instance_uid}
    return {tag: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"} for tag, uid in named.items()}


def _status(outcome: Outcome) -> int:
    """Return the status of an answer (PS3.18 table 10.5.3-1)."""
    if outcome.stored:
        return 202 if outcome.failed or outcome.problem else 200
    return 409 if outcome.failed else 400


def _answer(request: Request, outcome: Outcome) -> dict[str, Any]:
    """Return the Store Instances Response Module (PS3.18 I.2)."""
    content: dict[str, Any] = {}
    if len(outcome.studies) == 1:
        content[_URL] = {"vr": "UR", "Value": [retrieve_url(request.base, list(outcome.studies))]}
    if outcome.failed:
        content[_FAILED] = {"vr": "SQ", "Value": outcome.failed}
    if outcome.stored:
        content[_STORED] = {"vr": "SQ", "Value": outcome.stored}
    return content


def _note_complete(node: Node, outcome: Outcome) -> None:
    """Note that the user agent has sent what it wanted to send, as the end of an association does."""
    try:
        note_complete(node, "association", outcome.studies, node.clock())
    except MedserverError as error:  # then they are complete when they are quiet
        logger.warning("the end of a request is not noted: %s", error)
