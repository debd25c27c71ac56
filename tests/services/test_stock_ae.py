"""The same handlers behind our wire and behind a stock pynetdicom AE: every answer must be the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from medserver.config import ConfigFile
from medserver.dicom import status, uids
from medserver.dicom.data_sets import read_data_set
from medserver.errors import MedserverError
from medserver.identity.principal import principal_of
from medserver.node import Node, open_node
from medserver.scu import verification
from medserver.services.policy import NodePolicy
from medserver.services.registry import service_for
from medserver.services.request import Request, Response
from medserver.services.responses import answer_to
from medserver.wire.association import AcceptedContext, Partner
from medserver.wire.command_set import CommandField
from medserver.wire.limits import WireLimits
from medserver.wire.message import Message
from tests.peers import Address
from tests.services.client import Client
from tests.services.corpus import make_object, make_study
from tests.wire.serving import running

CALLING = "STORESCU"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
CONFIG = f"""[node]
ae_title = MEDSERVER
[ae {CALLING}]
address = 127.0.0.1
allow = echo, store, find
"""

FIELDS = {
    evt.EVT_C_ECHO: CommandField.C_ECHO,
    evt.EVT_C_STORE: CommandField.C_STORE,
    evt.EVT_C_FIND: CommandField.C_FIND,
}


@contextmanager
def opened(directory: Path) -> Iterator[Node]:
    """Open a node of its own in the process of the test."""
    directory.mkdir()
    (directory / "config.ini").write_text(CONFIG)
    config_file = ConfigFile(directory / "config.ini", (f"node.data={directory}",))
    node = open_node(config_file)
    try:
        yield node
    finally:
        node.close()


class StockAE:
    """pynetdicom's AE, and what turns its events into requests of our handlers.

    Parameters
    ----------
    node : Node
        What the handlers work with.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ae = AE("MEDSERVER")
        for sop_class_uid in (uids.VERIFICATION, uids.STUDY_ROOT_FIND, CT_IMAGE_STORAGE):
            self._ae.add_supported_context(sop_class_uid, [EXPLICIT, uids.IMPLICIT_VR_LITTLE_ENDIAN])

    @contextmanager
    def running(self) -> Iterator[Address]:
        """Listen; give the address."""
        handlers = [
            (evt.EVT_C_ECHO, self._perform),
            (evt.EVT_C_STORE, self._perform),
            (evt.EVT_C_FIND, self._find),
        ]
        server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        try:
            yield Address("MEDSERVER", server.server_address[1])
        finally:
            server.shutdown()

    def _perform(self, event: evt.Event) -> Dataset:
        """Answer what has one response."""
        return _response(next(self._answers(event)))

    def _find(self, event: evt.Event) -> Iterator[tuple[Dataset, Dataset | None]]:
        """Answer a C-FIND."""
        for response in self._answers(event):
            identifier = None
            if response.identifier is not None:
                identifier = read_data_set(
                    response.identifier, str(event.context.transfer_syntax), elements_max=1000, depth_max=10
                )
            yield _response(response), identifier

    def _answers(self, event: evt.Event) -> Iterator[Response]:
        """Call the handler of the operation, as `medserver.services.dispatch` does."""
        request = self._request(event)
        handler = service_for(request.sop_class_uid).operations[FIELDS[event.event]]
        try:
            result = handler(request, self._node)
            yield from [result] if isinstance(result, Response) else filter(None, result)
        except MedserverError as error:
            yield Response(answer_to(error, FIELDS[event.event]).code, str(error))

    def _request(self, event: evt.Event) -> Request:
        primitive = event.request
        encoded = getattr(primitive, "DataSet", None) or getattr(primitive, "Identifier", None)
        fragments = [memoryview(encoded.getvalue())] if encoded is not None else []
        command_set = {
            "AffectedSOPClassUID": str(primitive.AffectedSOPClassUID),
            "CommandField": FIELDS[event.event],
            "MessageID": primitive.MessageID,
            "CommandDataSetType": 0x0001 if fragments else 0x0101,
            "AffectedSOPInstanceUID": str(getattr(primitive, "AffectedSOPInstanceUID", "")),
        }
        context = AcceptedContext(
            event.context.context_id,
            str(event.context.abstract_syntax),
            str(event.context.transfer_syntax),
            as_scu=False,
            as_scp=True,
        )
        config = self._node.config.current
        remote = config.remotes_for(CALLING, "127.0.0.1")
        association = SimpleNamespace(
            requestor=Partner(CALLING), called_ae_title="", studies=set(), association_id="1-1",
            principal=principal_of(remote, "127.0.0.1"), certificate=None, carried=None,
            cancel_requested=lambda message_id: False,
        )  # fmt: skip
        message = Message(context.context_id, command_set, lambda: fragments.pop(0) if fragments else None)
        return Request(association, message, context, context.abstract_syntax, association.principal, config)


def _response(response: Response) -> Dataset:
    dataset = Dataset()
    dataset.Status = response.code
    if response.comment:
        dataset.ErrorComment = response.comment[:64]
    return dataset


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """Give a client of our wire, and one of the stock AE."""
    directory = tmp_path_factory.mktemp("stock")
    with (
        opened(directory / "ours") as our_node,
        opened(directory / "stock") as stock_node,
        running(NodePolicy(our_node), WireLimits()) as ours,
        StockAE(stock_node).running() as stock,
    ):
        yield Client(Address("MEDSERVER", ours.port), CALLING), Client(stock, CALLING)


def test_stores_have_the_same_statuses(clients: tuple[Client, Client]) -> None:
    one, other = make_object(), make_object()
    empty = {"abstract_syntax": CT_IMAGE_STORAGE, "AffectedSOPInstanceUID": one.sop_instance_uid}

    def store(client: Client) -> list[object]:
        return [
            client.store(one, other, one),
            client.store_raw(other.encoded, **empty),  # of another instance
            client.store_raw(b"\x08\x00\x05\x00CS\xff\xff", **empty),
            client.store_raw(one.encoded, **(empty | {"AffectedSOPInstanceUID": "1.2.x"})),
            client.store_raw(one.encoded, **(empty | {"abstract_syntax": CT_IMAGE_STORAGE}), Priority=1),
        ]

    ours, stock = map(store, clients)
    assert ours == stock
    assert ours[0] == [status.SUCCESS] * 3 and ours[1][0] == status.DATA_SET_MISMATCH


QUERIES: list[tuple[str, dict[str, str]]] = [
    ("STUDY", {"StudyInstanceUID": "=", "PatientID": "", "StudyDate": "", "ModalitiesInStudy": ""}),
    ("SERIES", {"StudyInstanceUID": "=", "SeriesInstanceUID": "", "Modality": ""}),
    ("IMAGE", {"StudyInstanceUID": "=", "SeriesInstanceUID": "=", "SOPInstanceUID": "", "Rows": ""}),
    ("IMAGE", {"StudyInstanceUID": "=", "SeriesInstanceUID": "", "SOPInstanceUID": ""}),
    ("STUDY", {"PatientName": "NOBODY*", "StudyInstanceUID": ""}),
    ("STUDY", {"StudyInstanceUID": "=", "PatientComments": ""}),
    ("NONSENSE", {"StudyInstanceUID": "="}),
    ("STUDY", {"StudyInstanceUID": "=", "StudyDate": "not a date"}),
]
"""Level and keys; = stands for the value of what is stored."""


def test_queries_have_the_same_answers(clients: tuple[Client, Client]) -> None:
    stored = make_study(3)

    def keys(query: dict[str, str]) -> dict[str, str]:
        return {key: str(stored[0].dataset[key].value) if value == "=" else value for key, value in query.items()}

    def ask(client: Client) -> list[tuple[tuple[int, ...], list[Dataset]]]:
        assert client.store(*stored) == [status.SUCCESS] * 3
        found = [client.find(level, keys(query)) for level, query in QUERIES]
        return [
            (each.statuses, sorted(each.identifiers, key=lambda one: str(one.get("SOPInstanceUID", ""))))
            for each in found
        ]

    ours, stock = map(ask, clients)
    assert ours == stock
    assert [len(identifiers) for _, identifiers in ours[:4]] == [1, 1, 3, 0]


def test_verification_has_the_same_answer(clients: tuple[Client, Client]) -> None:
    def echo(client: Client) -> int:
        with client.associated([verification.PROPOSAL]) as association:
            return verification.echo(association).code

    assert [echo(client) for client in clients] == [status.SUCCESS] * 2
