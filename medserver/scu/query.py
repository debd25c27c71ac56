"""Query as SCU (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from medserver.dicom import status, uids
from medserver.errors import RemoteError
from medserver.scu.exchange import (
    PRIORITY_MEDIUM,
    Response,
    cancel,
    context_for,
    next_message_id,
    responses,
    send_request,
)
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Proposal

IDENTIFIER_SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)

RELATIONAL = b"\x01"
"""What is proposed by extended negotiation for relational queries or retrieves (PS3.4 C.5.1.1)."""


def proposal(sop_class_uid: str) -> Proposal:
    """Return the presentation context for a query or retrieve SOP class."""
    return Proposal(sop_class_uid, IDENTIFIER_SYNTAXES)


def relational_agreed(association: Association, sop_class_uid: str) -> bool:
    """Tell whether the remote AE agreed to `RELATIONAL` for a SOP class."""
    return association.acceptor.extended.get(sop_class_uid, b"")[:1] == RELATIONAL


def find(
    association: Association, sop_class_uid: str, identifier: Dataset, *, matches_max: int | None = None
) -> Iterator[Response]:
    """Send a C-FIND and yield its responses, the last one included.

    Parameters
    ----------
    matches_max : int, optional
        After so many matches the query is cancelled; what the remote AE still sends is dropped.
    """
    context = context_for(association, sop_class_uid)
    message_id = next_message_id()
    command_set = {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_FIND,
        "MessageID": message_id,
        "Priority": PRIORITY_MEDIUM,
    }
    send_request(association, context, command_set, identifier)
    count = 0
    for response in responses(association, context, CommandField.C_FIND, message_id):
        is_match = status.is_pending(response.code)
        if is_match and matches_max is not None and count >= matches_max:
            continue
        yield response
        count += is_match
        if is_match and count == matches_max:
            cancel(association, context, message_id)


def matches(association: Association, sop_class_uid: str, identifier: Dataset) -> list[Dataset]:
    """Send a C-FIND and return the identifiers of all matches.

    Raises
    ------
    RemoteError
        The remote AE does not answer it, or ends it with anything but success: there may be more of them.
    """
    found, code = answer(association, sop_class_uid, identifier)
    if code != status.SUCCESS:
        raise ended_with(association.acceptor.ae_title, code)
    return found


def answer(association: Association, sop_class_uid: str, identifier: Dataset) -> tuple[list[Dataset], int]:
    """Send a C-FIND and return the identifiers of the matches, and the status that ended it."""
    found = []
    for response in find(association, sop_class_uid, identifier):
        if status.is_pending(response.code) and response.identifier is not None:
            found.append(response.identifier)
    return found, response.code


def ended_with(ae_title: str, code: int) -> RemoteError:
    """Return the error of a C-FIND that ended with another status than success."""
    return RemoteError(f"{ae_title} answered the C-FIND with {status.describe(code)}")


def study_related_instances(match: Dataset) -> int:
    """Return Number of Study Related Instances (0020,1208) of a match, 0 if it has none that is a number."""
    try:
        return int(match.get("NumberOfStudyRelatedInstances") or 0)
    except (ValueError, TypeError):
        return 0
