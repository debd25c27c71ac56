"""Requests of which every byte is the test's, and their responses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from medserver.dicom import uids
from medserver.scu import query, retrieve
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Proposal
from tests.attacks import raw
from tests.memory.operations import RESIDENT_MAX_BYTES, peak_resident_bytes
from tests.peers import Address
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import Client, identifier_of

TIMEOUT_S = 20.0
"""How long a response to a hostile request may take on a machine that is busy with others as well."""

CommandSet = dict[str, "int | str | bytes"]
Request = Callable[[CommandSet, "bytes | None"], "list[CommandSet]"]


@contextmanager
def requesting(address: Address, calling_ae_title: str, context: raw.Context) -> Iterator[Request]:
    """Open an association, give a function that sends a request and returns all its responses, and release it.

    The function raises a ConnectionError when the node ends the association instead of answering.
    """
    sock = raw.associate(address, calling_ae_title, (context,), timeout_s=TIMEOUT_S)

    def request(command_set: CommandSet, data_set: bytes | None = None) -> list[CommandSet]:
        sock.sendall(raw.message(1, command_set, data_set))
        responses = [raw.receive_command_set(sock)]
        while responses[-1]["Status"] in (0xFF00, 0xFF01):
            responses.append(raw.receive_command_set(sock))
        return responses

    with sock:
        yield request
        raw.release(sock)


@contextmanager
def storing(address: Address, transfer_syntax_uid: str = raw.EXPLICIT) -> Iterator[Callable[..., int]]:
    """Give a function of a data set, its UID and other elements of the command set, which returns the status."""
    with requesting(address, "STORESCU", (raw.CT_IMAGE_STORAGE, (transfer_syntax_uid,))) as request:

        def store(data_set: bytes, sop_instance_uid: str, **command_set: object) -> int:
            [response] = request(raw.store_command_set(sop_instance_uid) | command_set, data_set)
            return int(response["Status"])

        yield store


def store(
    address: Address, data_set: bytes, sop_instance_uid: str, transfer_syntax_uid: str = raw.EXPLICIT
) -> int:
    """Store one data set, and return the status."""
    with storing(address, transfer_syntax_uid) as send:
        return send(data_set, sop_instance_uid)


@contextmanager
def finding(
    address: Address, transfer_syntax_uid: str = raw.EXPLICIT, model: str = uids.STUDY_ROOT_FIND
) -> Iterator[Callable[[bytes], tuple[int, int]]]:
    """Give a function of an identifier, which returns the last status and how many answers came before."""
    command_set = {
        "AffectedSOPClassUID": model,
        "CommandField": CommandField.C_FIND,
        "MessageID": 1,
        "Priority": 0,
    }
    with requesting(address, "FINDSCU", (model, (transfer_syntax_uid,))) as request:

        def find(identifier: bytes) -> tuple[int, int]:
            *answers, last = request(command_set, identifier)
            return int(last["Status"]), len(answers)

        yield find


@contextmanager
def moving(address: Address) -> Iterator[Callable[[str, bytes], int]]:
    """Give a function of a destination and an identifier, which returns the last status."""
    with requesting(address, "MOVESCU", (uids.STUDY_ROOT_MOVE, (raw.EXPLICIT,))) as request:

        def move(destination: str, identifier: bytes) -> int:
            command_set = {
                "AffectedSOPClassUID": uids.STUDY_ROOT_MOVE,
                "CommandField": CommandField.C_MOVE,
                "MessageID": 1,
                "Priority": 0,
                "MoveDestination": destination,
            }
            return int(request(command_set, identifier)[-1]["Status"])

        yield move


@contextmanager
def modest(node: Node, resident_max_bytes: int = RESIDENT_MAX_BYTES) -> Iterator[None]:
    """Assert behind the block that no process of the node ever had more memory than this."""
    yield
    assert peak_resident_bytes(node) < resident_max_bytes


def start_workers(node: Node, associations: int = 4) -> None:
    """Let each acceptor process start the processes that work for it: they stay, with a pipe to each.

    New associations go to the process that has fewer of them, so that some at once reach each.
    """
    whole = corpus.make_object()
    assert store(node.address, whole.encoded, whole.sop_instance_uid) == 0
    all_are_open = threading.Barrier(associations)

    def get() -> int:
        model = uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET
        proposals = [query.proposal(model), Proposal(whole.sop_class_uid, (raw.EXPLICIT,), as_scp=True)]
        identifier = identifier_of("IMAGE", {"SOPInstanceUID": whole.sop_instance_uid})
        with Client(node.address, "GETSCU").associated(proposals) as association:
            all_are_open.wait(TIMEOUT_S)
            *_, last = retrieve.get(association, model, identifier, lambda context, message: 0)
            return last.code

    with ThreadPoolExecutor(associations) as threads:
        outcomes = [threads.submit(get) for _ in range(associations)]
        assert {outcome.result() for outcome in outcomes} == {0}
