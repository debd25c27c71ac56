"""What a handler gets and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from medserver.config import Config, Remote
from medserver.dicom import status
from medserver.identity.principal import Principal
from medserver.index import Subject
from medserver.scu.counts import Counts
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.association import AcceptedContext
from medserver.wire.message import Message


@dataclass(slots=True)
class Audited:
    """What a request leaves for the audit message of its operation, see `medserver.services.audit`.

    Attributes
    ----------
    identifier : bytes
        Its identifier as it was received.
    destination : Remote or None
        The Move Destination.
    subjects : sequence of Subject
        What it is about.
    sent, failed : list of str
        The SOP Instance UIDs of what was sent, and of what could not be.
    has_failed : bool
        Whether nothing of it could be sent; then nothing is listed.
    """

    identifier: bytes = b""
    destination: Remote | None = None
    subjects: Sequence[Subject] = ()
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a peer that may use the service.

    Attributes
    ----------
    association : AcceptedAssociation
        Where it came in.
    message : Message
        Its command set, and its data set as it arrives.
    context : AcceptedContext
        Its presentation context.
    sop_class_uid : str
        The SOP class of the command set.
    principal : Principal
        Who asks.
    config : Config
        The configuration that says so: a request is served by one, for each look at the file costs something.
    extended : bytes
        What SOP Class Extended Negotiation agreed on for the SOP class; empty if nothing.
    counts : Counts
        Those of the association.
    audited : Audited
        What its audit message tells.
    """

    association: AcceptedAssociation
    message: Message
    context: AcceptedContext
    sop_class_uid: str
    principal: Principal
    config: Config
    extended: bytes = b""
    counts: Counts = field(default_factory=Counts)
    audited: Audited = field(default_factory=Audited)

    @property
    def remote(self) -> Remote:
        """The entry of the AE that asks."""
        return self.principal.remote

    @property
    def cancelled(self) -> bool:
        """Tell whether the peer has asked to end this operation (C-CANCEL)."""
        return self.association.cancel_requested(self.message.message_id)


@dataclass(frozen=True, slots=True)
class Response:
    """One response to a request.

    Attributes
    ----------
    code : int
        The DIMSE status.
    comment : str
        The Error Comment (0000,0902); at most 64 characters are sent.
    identifier : bytes or None
        The encoded data set of the response.
    elements : dict of str to int or str
        Further elements of the command set, such as the counters of a retrieve.
    """

    code: int = status.SUCCESS
    comment: str = ""
    identifier: bytes | None = None
    elements: dict[str, int | str] = field(default_factory=dict)


Handler = Callable[[Request, "object"], "Response | Iterator[Response | None]"]
"""A function of the request and the `Node`.

Operations with several responses are generators; one that goes on without a response yields None now and then.
"""
