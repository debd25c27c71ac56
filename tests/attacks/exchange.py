"""Requests of which every byte is the test's, and their responses."""

from __future__ import annotations

from medserver.dicom import uids
from medserver.wire.command_set import CommandField
from tests.attacks import raw
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services import corpus

TIMEOUT_S = 20.0
"""How long a response to a hostile request may take on a machine that is busy with others as well."""

CommandSet = dict[str, "int | str | bytes"]


def store(
    address: Address,
    data_set: bytes,
    sop_instance_uid: str,
    transfer_syntax_uid: str = raw.EXPLICIT,
    **command_set: object,
) -> int:
    """Send a C-STORE request on an association of its own, and return the status."""
    context = (raw.CT_IMAGE_STORAGE, (transfer_syntax_uid,))
    elements = raw.store_command_set(sop_instance_uid) | command_set
    [response] = request(address, "STORESCU", context, elements, data_set)
    return int(response["Status"])


def find(
    address: Address, identifier: bytes, transfer_syntax_uid: str = raw.EXPLICIT, model: str = uids.STUDY_ROOT_FIND
) -> tuple[int, int]:
    """Send a C-FIND request; return its last status and how many answers came before."""
    elements = {
        "AffectedSOPClassUID": model,
        "CommandField": CommandField.C_FIND,
        "MessageID": 1,
        "Priority": 0,
    }
    *answers, last = request(address, "FINDSCU", (model, (transfer_syntax_uid,)), elements, identifier)
    return int(last["Status"]), len(answers)


def move(address: Address, destination: str, identifier: bytes) -> int:
    """Send a C-MOVE request, and return its last status."""
    elements = {
        "AffectedSOPClassUID": uids.STUDY_ROOT_MOVE,
        "CommandField": CommandField.C_MOVE,
        "MessageID": 1,
        "Priority": 0,
        "MoveDestination": destination,
    }
    *_, last = request(address, "MOVESCU", (uids.STUDY_ROOT_MOVE, (raw.EXPLICIT,)), elements, identifier)
    return int(last["Status"])


def request(
    address: Address,
    calling_ae_title: str,
    context: raw.Context,
    command_set: CommandSet,
    data_set: bytes | None = None,
) -> list[CommandSet]:
    """Send a request on an association of its own, and return the command sets of its responses.

    Raises
    ------
    ConnectionError
        The node ended the association instead of answering.
    """
    sock = raw.associate(address, calling_ae_title, (context,), timeout_s=TIMEOUT_S)
    responses: list[CommandSet] = []
    with sock:
        sock.sendall(raw.message(1, command_set, data_set))
        while not responses or responses[-1]["Status"] in (0xFF00, 0xFF01):
            responses.append(raw.receive_command_set(sock))
        raw.release(sock)
    return responses


def warm_up(node: Node) -> None:
    """Store an instance and wait until it is placed: each process has then the folder that it works in for good."""
    whole = corpus.make_object()
    assert store(node.address, whole.encoded, whole.sop_instance_uid) == 0
    wait_until(lambda: any(node.data.glob("store/[0-9]*/*/*/*/*.dcm")), what="the placing of an instance")
