"""Retrieve (WADO-RS, PS3.18 10.4): instances as they are stored or transcoded, and their metadata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

from medserver import archive
from medserver.codecs import compressions, targets
from medserver.dicom.conditions import UIDList
from medserver.dicom.part10 import FileMeta
from medserver.dicom.uids import is_valid_uid
from medserver.errors import NoSuchInstance, NotAcceptable
from medserver.index import Selection, StoredCopy
from medserver.node import Node
from medserver.scu.storage import Outgoing
from medserver.web import dicom_json
from medserver.web.audit import Sending, accesses
from medserver.web.documents import sent
from medserver.web.multipart import Part, content_type, new_boundary, written
from medserver.web.negotiation import AS_STORED, INSTANCES, METADATA, ONE_INSTANCE, Selected
from medserver.web.request import Answer, Request, warning
from medserver.web.search import retrieve_url

PIECE_BYTES = 256 * 1024

KEYWORDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}
"""What stands in the templates of routes -> the unique key of its level."""

BULK_MIN_BYTES = 1024
"""Binary values of this length and more are told by where they are."""

_BULK_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_PIXEL_DATA = "7FE00010"


def retrieve(request: Request, node: Node) -> Answer:
    """Send instances (PS3.18 10.4.1, 10.4.3).

    Raises
    ------
    NoSuchInstance
        There are none.
    NotAcceptable
        They can be brought into none of the transfer syntaxes that are accepted.
    """
    selection = selection_of(request, node)
    selected = request.select(ONE_INSTANCE if "instance" in request.path else INSTANCES)
    wanted = {copy.sop_instance_uid: _syntax(copy, selected) for copy in selection}
    sendable = sum(syntax is not None for syntax in wanted.values())
    if not sendable:
        raise NotAcceptable("the instances can be brought into none of the transfer syntaxes that are accepted")
    if not selected.offer.is_multipart:
        copy = next(iter(selection))
        answer = _alone(node, copy, wanted[copy.sop_instance_uid] or "")
        return replace(answer, body=Sending(request, node, selection).body(answer.body))
    boundary = new_boundary()
    left_out = len(wanted) - sendable
    headers = warning(request.base, *([f"{left_out} instances cannot be sent so"] if left_out else []))
    body = Sending(request, node, selection).body(written(_parts(request, node, selection, wanted), boundary))
    status = 206 if left_out else 200
    return Answer(status, body, content_type(selected.offer.media_type, boundary), headers)


def metadata(request: Request, node: Node) -> Answer:
    """Send the attributes of instances, with references in the place of bulk data (PS3.18 10.4.1.1.2).

    Raises
    ------
    NoSuchInstance
        There are none.
    """
    selection = selection_of(request, node)
    selected = request.select(METADATA)
    accesses.tell(request, node, selection)
    documents = (_metadata_of(request, node, copy) for copy in selection)
    return sent(documents, selected.offer)


def selection_of(request: Request, node: Node) -> Selection:
    """Return the instances that the path names.

    Raises
    ------
    NoSuchInstance
        There are none.
    """
    for name, uid in request.path.items():
        if name in KEYWORDS and not is_valid_uid(uid):
            raise NoSuchInstance("there is nothing of this UID")
    conditions = [UIDList(KEYWORDS[name], (uid,)) for name, uid in request.path.items() if name in KEYWORDS]
    selection = node.index.select(conditions)
    if not selection.count:
        raise NoSuchInstance("there is nothing of this UID")
    return selection


def _syntax(copy: StoredCopy, selected: Selected) -> str | None:
    """Return the transfer syntax in which an instance is sent; None if there is none."""
    stored, possible = copy.transfer_syntax_uid, possible_syntaxes(copy.transfer_syntax_uid)
    for wanted in selected.transfer_syntaxes:
        if wanted == AS_STORED:
            return stored
        if wanted in possible:
            return wanted
    return None


def possible_syntaxes(stored: str) -> frozenset[str]:
    """Return the transfer syntaxes in which an object can be sent, given that in which it is stored."""
    return frozenset((stored, *targets(stored), *compressions(stored)))


def _alone(node: Node, copy: StoredCopy, syntax: str) -> Answer:
    headers = {"etag": f'"{copy.digest}-{syntax}"', "cache-control": "private, no-cache"}
    with ExitStack() as stack:
        outgoing = stack.enter_context(archive.ReadAhead(node, [copy])).outgoing(copy)
        pieces, size_bytes = _opened(node, copy, outgoing, syntax, stack)
        head = _file_meta(copy, syntax)
        headers["content-length"] = str(len(head) + size_bytes)
        body = _closing(head, pieces, stack.pop_all())
        return Answer(200, body, f"application/dicom; transfer-syntax={syntax}", headers)


def _parts(request: Request, node: Node, selection: Selection, wanted: dict[str, str | None]) -> Iterator[Part]:
    with archive.ReadAhead(node, selection) as instances:
        for copy in instances:
            syntax = wanted.get(copy.sop_instance_uid)
            if syntax is None:
                continue
            with ExitStack() as stack:
                pieces, _ = _opened(node, copy, instances.outgoing(copy), syntax, stack)
                body = _closing(_file_meta(copy, syntax), pieces, stack.pop_all())
            location = _location(request, copy)
            yield Part(f"application/dicom; transfer-syntax={syntax}", body, location)


def _location(request: Request, copy: StoredCopy) -> str:
    uids = request.path.get("study"), request.path.get("series"), copy.sop_instance_uid
    return retrieve_url(request.base, uids) if all(uids) else ""


def _opened(
    node: Node, copy: StoredCopy, outgoing: Outgoing, syntax: str, stack: ExitStack
) -> tuple[Iterator[bytes], int]:
    """Return the pieces of a data set in a transfer syntax, and its length; what holds it is left to the stack."""
    if syntax == copy.transfer_syntax_uid:
        return _pieces(stack.enter_context(closing(outgoing.open_data_set()))), copy.size_bytes
    transcoded = stack.enter_context(node.transcoder.transcode(outgoing, syntax))
    return _pieces(stack.enter_context(closing(transcoded.open()))), transcoded.size_bytes


def _pieces(file: Any) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield bytes(piece)


def _closing(head: bytes, pieces: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield head
        yield from pieces


def _file_meta(copy: StoredCopy, syntax: str) -> bytes:
    return FileMeta(copy.sop_class_uid, copy.sop_instance_uid, syntax).encode()


def _metadata_of(request: Request, node: Node, copy: StoredCopy) -> dict[str, Any]:
    header = archive.read_header(node, copy)
    content = dicom_json.data_set(header)
    series = content.get("0020000E", {}).get("Value", [""])[0]
    place = retrieve_url(request.base, (copy.study_instance_uid, series, copy.sop_instance_uid)) + "/bulkdata"
    content["00083002"] = {"vr": "UI", "Value": [copy.transfer_syntax_uid]}
    if "Rows" in header and "BitsAllocated" in header:
        content[_PIXEL_DATA] = {"vr": "OW", "BulkDataURI": f"{place}/{_PIXEL_DATA}"}
    for tag, each in content.items():
        binary = each.get("InlineBinary")
        if each["vr"] in _BULK_VRS and binary is not None and len(binary) * 3 // 4 >= BULK_MIN_BYTES:
            content[tag] = {"vr": each["vr"], "BulkDataURI": f"{place}/{tag}"}
    return dict(sorted(content.items()))
