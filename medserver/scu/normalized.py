"""N-CREATE and N-SET at a remote AE, and the request of an N-EVENT-REPORT (PS3.7 10.3.5, 10.3.3, 10.3.1)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.dicom.data_sets import write_data_set
from medserver.dicom.json_model import JSON, write_json
from medserver.scu.exchange import (
    DATA_SET_FOLLOWS,
    Response,
    context_for,
    next_message_id,
    responses,
    send_request,
)
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.requestor import Proposal

_SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)


def proposal(sop_class_uid: str) -> Proposal:
    """Return the presentation context in which instances of a SOP class are created and set."""
    return Proposal(sop_class_uid, _SYNTAXES)


def create_instance(
    association: Association, sop_class_uid: str, sop_instance_uid: str, attribute_list: Dataset | JSON
) -> Response:
    """Create an instance (N-CREATE).

    Raises
    ------
    AssociationAborted
        The remote AE does not serve the SOP class, or the association ended.
    """
    names = {"AffectedSOPClassUID": sop_class_uid, "AffectedSOPInstanceUID": sop_instance_uid}
    return _exchange(association, sop_class_uid, CommandField.N_CREATE, names, attribute_list)


def set_instance(
    association: Association, sop_class_uid: str, sop_instance_uid: str, modification_list: Dataset | JSON
) -> Response:
    """Change an instance (N-SET).

    Raises
    ------
    AssociationAborted
        The remote AE does not serve the SOP class, or the association ended.
    """
    names = {"RequestedSOPClassUID": sop_class_uid, "RequestedSOPInstanceUID": sop_instance_uid}
    return _exchange(association, sop_class_uid, CommandField.N_SET, names, modification_list)


def _exchange(
    association: Association,
    sop_class_uid: str,
    command_field: CommandField,
    names: dict[str, str],
    attributes: Dataset | JSON,
) -> Response:
    context = context_for(association, sop_class_uid)
    message_id = next_message_id()
    write = write_data_set if isinstance(attributes, Dataset) else write_json
    encoded = write(attributes, context.transfer_syntax_uid)
    send_request(association, context, {"CommandField": command_field, "MessageID": message_id} | names, encoded)
    return next(responses(association, context, command_field, message_id))


def event_report_request(
    message_id: int, sop_class_uid: str, sop_instance_uid: str, event_type_id: int
) -> bytes:
    """Return the encoded command set of an N-EVENT-REPORT request (PS3.7 10.3.1)."""
    return encode_command_set({
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.N_EVENT_REPORT,
        "MessageID": message_id,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "AffectedSOPInstanceUID": sop_instance_uid,
        "EventTypeID": event_type_id,
    })
