"""Requests that no service has: each is answered, and the association goes on (PS3.7 C.5)."""

from __future__ import annotations

import pytest
from medserver.dicom import uids
from medserver.scu import query, verification
from medserver.dicom.data_sets import write_data_set
from medserver.wire.association import Association
from medserver.wire.command_set import NO_DATA_SET, CommandField, encode_command_set
from medserver.wire.requestor import Proposal
from pydicom.uid import CTImageStorage, MRImageStorage

from tests.services.client import FIND, MOVE, Client, identifier_of
from tests.services.corpus import EXPLICIT


def status_of(association: Association, abstract_syntax: str, command_field: int, **changes: object) -> int:
    """Send a request in the context of an abstract syntax, and return the status of its response."""
    [context] = [one for one in association.contexts.values() if one.abstract_syntax == abstract_syntax]
    command_set = {
        "AffectedSOPClassUID": abstract_syntax,
        "CommandField": command_field,
        "MessageID": 21,
        "CommandDataSetType": NO_DATA_SET,
    } | changes
    data_set = None
    if command_set["CommandDataSetType"] != NO_DATA_SET:
        data_set = write_data_set(
            identifier_of("STUDY", {"StudyInstanceUID": "1.2"}), context.transfer_syntax_uid
        )
    association.send_message(context.context_id, encode_command_set(command_set), data_set)
    response = association.wait_response(CommandField(command_field), 21, 10)
    return response.command_set["Status"]


@pytest.mark.parametrize(
    ("abstract_syntax", "command_field", "changes", "status"),
    [
        (uids.VERIFICATION, CommandField.C_ECHO, {}, 0x0000),
        (uids.VERIFICATION, CommandField.C_FIND, {}, 0x0211),
        (uids.VERIFICATION, CommandField.N_CREATE, {}, 0x0211),
        (uids.VERIFICATION, CommandField.C_ECHO, {"AffectedSOPClassUID": FIND["STUDY"]}, 0x0122),
        (FIND["STUDY"], CommandField.C_ECHO, {}, 0x0211),
        (
            FIND["STUDY"],
            CommandField.C_MOVE,
            {"MoveDestination": "STORESCU", "CommandDataSetType": 1},
            0x0211,
        ),
        (
            FIND["STUDY"],
            CommandField.C_FIND,
            {"AffectedSOPClassUID": FIND["PATIENT"], "CommandDataSetType": 1},
            0x0122,
        ),
        (FIND["STUDY"], CommandField.C_FIND, {}, 0xC000),
        (FIND["STUDY"], CommandField.C_FIND, {"CommandDataSetType": 1}, 0x0000),
        (MOVE["STUDY"], CommandField.C_MOVE, {"CommandDataSetType": 1}, 0xA801),
        (MOVE["STUDY"], CommandField.C_GET, {"CommandDataSetType": 1}, 0x0211),
        (CTImageStorage, CommandField.C_FIND, {"CommandDataSetType": 1}, 0x0211),
        (CTImageStorage, CommandField.C_STORE, {"AffectedSOPInstanceUID": "1.2"}, 0xA900),
        (CTImageStorage, CommandField.C_STORE, {"AffectedSOPClassUID": MRImageStorage}, 0xA900),
    ],
)
def test_request_that_the_service_does_not_have(
    client: Client, abstract_syntax: str, command_field: CommandField, changes: dict[str, object], status: int
) -> None:
    proposals = [
        verification.PROPOSAL,
        query.proposal(FIND["STUDY"]),
        query.proposal(MOVE["STUDY"]),
        Proposal(CTImageStorage, (EXPLICIT,)),
    ]
    with client.associated(proposals) as association:
        assert status_of(association, abstract_syntax, command_field, **changes) == status
        assert verification.echo(association).code == 0


def test_response_and_cancel_that_nobody_waits_for(client: Client) -> None:
    with client.associated([verification.PROPOSAL]) as association:
        [context] = association.contexts.values()
        for command_field in (0x8001, 0x8030, CommandField.C_CANCEL):
            command_set = {
                "CommandField": command_field,
                "MessageIDBeingRespondedTo": 3,
                "CommandDataSetType": NO_DATA_SET,
            }
            association.send_message(context.context_id, encode_command_set(command_set))
        assert verification.echo(association).code == 0
