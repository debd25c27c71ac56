"""medserver's own SCU functions as a client of the node.

It sends data sets as they are, and takes every transfer syntax.

The DCMTK programs encode anew what they send and know fewer transfer syntaxes; everything that they can do is
asked of them, and of pynetdicom (`peer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol

from medserver.codecs import Transcoder, Workers
from medserver.dicom import status, uids
from medserver.scu import query, retrieve
from medserver.scu.exchange import DATA_SET_FOLLOWS, Response, next_message_id
from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address as WireAddress
from medserver.wire.requestor import Proposal, associate
from pydicom.dataset import Dataset

from tests.peers import Address

LIMITS = WireLimits(dimse_timeout_s=30.0)

FIND = {
    "PATIENT": uids.PATIENT_ROOT_FIND,
    "STUDY": uids.STUDY_ROOT_FIND,
    "PATIENT_STUDY_ONLY": uids.PATIENT_STUDY_ONLY_FIND,
}
MOVE = {
    "PATIENT": uids.PATIENT_ROOT_MOVE,
    "STUDY": uids.STUDY_ROOT_MOVE,
    "PATIENT_STUDY_ONLY": uids.PATIENT_STUDY_ONLY_MOVE,
    "COMPOSITE": uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE,
}
GET = {
    "PATIENT": uids.PATIENT_ROOT_GET,
    "STUDY": uids.STUDY_ROOT_GET,
    "PATIENT_STUDY_ONLY": uids.PATIENT_STUDY_ONLY_GET,
    "COMPOSITE": uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET,
    "WITHOUT_BULK_DATA": uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET,
}


class Instance(Protocol):
    """What can be sent: a `files.Sample` or a `corpus.Object`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    def data_set(self) -> bytes:
        """Return the encoded data set."""


@dataclass(frozen=True)
class Answers:
    """The responses to one request."""

    responses: tuple[Response, ...]

    @property
    def status(self) -> int:
        """The last status, int."""
        return self.responses[-1].code

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status, in order."""
        return tuple(response.code for response in self.responses)

    @property
    def identifiers(self) -> list[Dataset]:
        """The identifiers of the pending responses."""
        return [
            response.identifier
            for response in self.responses
            if response.identifier is not None and status.is_pending(response.code)
        ]

    @property
    def comment(self) -> str:
        """The Error Comment of the last response."""
        return self.responses[-1].comment

    def values(self, keyword: str) -> list[str]:
        """Return one attribute of every identifier."""
        return [str(identifier.get(keyword, "")) for identifier in self.identifiers]

    @property
    def counters(self) -> dict[str, int | None]:
        """The sub-operation counters of the last response."""
        return counters(self.responses[-1])

    @property
    def failed_uids(self) -> list[str]:
        """The Failed SOP Instance UID List of the last response."""
        identifier = self.responses[-1].identifier
        value = identifier.get("FailedSOPInstanceUIDList") if identifier is not None else None
        return [] if value is None else [value] if isinstance(value, str) else list(value)


@dataclass(frozen=True)
class Retrieved(Answers):
    """The responses to a C-GET, and what came with them."""

    received: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """SOP Instance UID to transfer syntax and data set."""


def counters(response: Response) -> dict[str, int | None]:
    """Return the sub-operation counters of a response, None for one that it does not have."""
    names = ("Remaining", "Completed", "Failed", "Warning")
    return {name.lower(): response.command_set.get(f"NumberOf{name}Suboperations") for name in names}


def identifier_of(level: str, keys: Mapping[str, Any] | Iterable[str]) -> Dataset:
    """Return the identifier of a query or retrieve; keys without a value are asked for only."""
    identifier = Dataset()
    if level:
        identifier.QueryRetrieveLevel = level
    if not isinstance(keys, Mapping):
        keys = dict.fromkeys(keys, "")
    if "SpecificCharacterSet" in keys:
        identifier.SpecificCharacterSet = keys["SpecificCharacterSet"]
    for keyword, value in keys.items():
        setattr(identifier, keyword, value if value != "" else None)
    return identifier


class Client:
    """Sends requests to a node, each on an association of its own.

    Parameters
    ----------
    address : Address
        The node.
    calling_ae_title : str
        As whom it calls.
    """

    def __init__(self, address: Address, calling_ae_title: str = "STORESCU") -> None:
        self.address = WireAddress(address.ae_title, address.host, address.port)
        self.calling_ae_title = calling_ae_title

    @contextmanager
    def associated(
        self, proposals: Sequence[Proposal], extended: Mapping[str, bytes] | None = None
    ) -> Iterator[Association]:
        """Open an association, and release it at the end."""
        association = associate(self.address, proposals, self.calling_ae_title, LIMITS, extended)
        try:
            yield association
        finally:
            association.release()

    def store(self, *instances: Instance) -> list[int]:
        """Send data sets as they are, and return the status of each."""
        kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances)
        with (
            Workers() as workers,
            StorageSender(self.address, kinds, self.calling_ae_title, LIMITS, Transcoder(workers)) as sender,
        ):
            return [sender.send(_outgoing(one))[0] for one in instances]

    def store_raw(
        self,
        data_set: bytes | None,
        *,
        abstract_syntax: str,
        transfer_syntax_uid: str = uids.EXPLICIT_VR_LITTLE_ENDIAN,
        **command_set: object,
    ) -> tuple[int, str]:
        """Send a C-STORE request with these bytes and elements of the command set; return status and comment."""
        with self.associated([Proposal(abstract_syntax, (transfer_syntax_uid,))]) as association:
            return exchange_store(association, data_set, **command_set)

    def find(
        self, level: str, keys: Mapping[str, Any] | Iterable[str] = (), *, model: str = "STUDY"
    ) -> Answers:
        """Query."""
        with self.querying(model) as ask:
            return ask(level, keys)

    @contextmanager
    def querying(self, model: str = "STUDY", extended: bytes = b"") -> Iterator[Any]:
        """Give a function like `find`, for many queries on one association; `extended` is negotiated."""
        proposed = {FIND[model]: extended} if extended else None
        with self.associated([query.proposal(FIND[model])], proposed) as association:
            assert association.acceptor.extended.get(FIND[model], b"") == extended

            def ask(level: str, keys: Mapping[str, Any] | Iterable[str] = ()) -> Answers:
                return Answers(tuple(query.find(association, FIND[model], identifier_of(level, keys))))

            yield ask

    def move(self, destination: str, level: str, keys: Mapping[str, Any], *, model: str = "STUDY") -> Answers:
        """Have instances sent to a destination."""
        with self.associated([query.proposal(MOVE[model])]) as association:
            identifier = identifier_of(level, keys)
            return Answers(tuple(retrieve.move(association, MOVE[model], identifier, destination)))

    def get(
        self,
        level: str,
        keys: Mapping[str, Any],
        kinds: Iterable[tuple[str, str]],
        *,
        model: str = "STUDY",
    ) -> Retrieved:
        """Have instances sent here, each kind (SOP class, transfer syntax) in a presentation context of its own."""
        received: dict[str, tuple[str, bytes]] = {}

        def receive(context, message) -> int:
            data_set = message.read_data_set(1 << 30)
            received[message.command_set["AffectedSOPInstanceUID"]] = (context.transfer_syntax_uid, data_set)
            return status.SUCCESS

        storage = [Proposal(uid, (syntax,), as_scp=True) for uid, syntax in dict.fromkeys(kinds)]
        with self.associated([query.proposal(GET[model]), *storage]) as association:
            responses = retrieve.get(association, GET[model], identifier_of(level, keys), receive)
            return Retrieved(tuple(responses), received)


def exchange_store(
    association: Association, data_set: bytes | None, **command_set: object
) -> tuple[int, str]:
    """Send a C-STORE request in the first context of an association; return status and comment."""
    context = next(iter(association.contexts.values()))
    message_id = next_message_id()
    encoded = encode_command_set(
        {
            "AffectedSOPClassUID": context.abstract_syntax,
            "CommandField": CommandField.C_STORE,
            "MessageID": message_id,
            "Priority": 0,
            "CommandDataSetType": DATA_SET_FOLLOWS,
            **command_set,
        }
    )
    association.send_message(context.context_id, encoded, data_set)
    response = association.wait_response(CommandField.C_STORE, message_id, LIMITS.dimse_timeout_s)
    assert response.command_set.get("AffectedSOPInstanceUID") == command_set.get("AffectedSOPInstanceUID")
    return response.command_set["Status"], str(response.command_set.get("ErrorComment", ""))


def _outgoing(instance: Instance) -> Outgoing:
    data_set = instance.data_set()
    return Outgoing(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        len(data_set),
        lambda: BytesIO(data_set),
    )
