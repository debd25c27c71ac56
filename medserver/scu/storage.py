"""Storage as SCU: instances go out as they lie on disk, or transcoded where the peer cannot take them (PS3.4 B).

The same functions serve an association that we asked for and the sub-operations of a C-GET, where the association
is the peer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from medserver import codecs
from medserver.errors import CannotTranscode, DamagedObject, TransferSyntaxNotSupported
from medserver.scu.exchange import DATA_SET_FOLLOWS, PRIORITY_MEDIUM, next_message_id
from medserver.scu.padding import send_data_set
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.requestor import CONTEXTS_MAX, Proposal


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An instance that is to be sent.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        What it is.
    size_bytes : int
        The length of its data set.
    open_data_set : callable
        Returns a context manager with a binary file at the first byte of the data set.
    on_sent : callable
        Called when it has been sent and the peer has not answered yet: a good time to prepare the next one.
    digest : str
        The SHA-256 of its data set, hexadecimal, if what it is transcoded to is worth remembering; else empty.
    upcoming : callable
        Takes a number, and returns so many of the instances that will be sent next, or fewer.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    open_data_set: Callable[[], AbstractContextManager[BinaryIO]]
    on_sent: Callable[[], None] = lambda: None
    digest: str = ""
    upcoming: Callable[[int], Sequence[Outgoing]] = lambda count: ()


def proposals_for(
    kinds: Iterable[tuple[str, str]], preferred: Sequence[str] = ()
) -> list[list[Proposal]]:
    """Return the presentation contexts to propose for instances of these kinds.

    For each SOP class there is one context for each preferred transfer syntax that the instances can be brought into,
    one for the uncompressed ones, and one for each transfer syntax as stored: the peer chooses one transfer syntax in
    each context (PS3.8 9.3.3.2), and among the contexts we choose. The contexts of a SOP class stay together.

    Parameters
    ----------
    kinds : iterable of (sop_class_uid, transfer_syntax_uid)
        What is to be sent.
    preferred : sequence of str
        The transfer syntaxes that the peer is to be sent, the best first.

    Returns
    -------
    list of list of Proposal
        At most 128 each: as many associations as needed (PS3.8 9.3.2.2).
    """
    by_class: dict[str, dict[tuple[str, ...], None]] = {}
    for sop_class_uid, transfer_syntax_uid in kinds:
        wanted = by_class.setdefault(sop_class_uid, {})
        possible = ways(transfer_syntax_uid)
        wanted |= {(uid,): None for uid in preferred if uid in possible}
        if targets := codecs.targets(transfer_syntax_uid):
            wanted[tuple(targets)] = None
        # Behind: GDCM 3.0 reads all data sets of a SOP class as its last context says, and stops at an exception.
        wanted[(transfer_syntax_uid,)] = None
    groups: list[list[Proposal]] = [[]]
    for sop_class_uid, wanted in by_class.items():
        proposals = [Proposal(sop_class_uid, syntaxes) for syntaxes in wanted]
        if groups[-1] and len(groups[-1]) + len(proposals) > CONTEXTS_MAX:
            groups.append([])
        groups[-1] += proposals[:CONTEXTS_MAX]
    return [group for group in groups if group]


def ways(transfer_syntax_uid: str, preferred: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the transfer syntaxes that an instance can be sent in, the best first.

    Without a preference that is how it is stored, then what is uncompressed, then what is compressed without loss.
    """
    others = (*codecs.targets(transfer_syntax_uid), *codecs.compressions(transfer_syntax_uid))
    possible = dict.fromkeys((transfer_syntax_uid, *others))
    return tuple(dict.fromkeys((*(uid for uid in preferred if uid in possible), *possible)))


def choose_contexts(
    association: Association, outgoing: Outgoing, preferred: Sequence[str] = ()
) -> list[AcceptedContext]:
    """Return the contexts that an instance can be sent in, the best first: see `ways`."""
    contexts = [
        context
        for context in association.contexts.values()
        if context.abstract_syntax == outgoing.sop_class_uid and context.as_scu
    ]
    by_syntax = {context.transfer_syntax_uid: context for context in contexts}
    return [by_syntax[uid] for uid in ways(outgoing.transfer_syntax_uid, preferred) if uid in by_syntax]


def store_request(
    sop_class_uid: str,
    sop_instance_uid: str,
    message_id: int,
    move_originator: tuple[str, int] | None = None,
) -> bytes:
    """Return the encoded command set of a C-STORE request (PS3.7 9.3.1.1)."""
    return encode_command_set({
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_STORE,
        "MessageID": message_id,
        "Priority": PRIORITY_MEDIUM,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "AffectedSOPInstanceUID": sop_instance_uid,
        "MoveOriginatorApplicationEntityTitle": move_originator and move_originator[0],
        "MoveOriginatorMessageID": move_originator and move_originator[1],
    })


def send_instance(
    association: Association,
    outgoing: Outgoing,
    transcoding: codecs.TranscodeAhead,
    move_originator: tuple[str, int] | None = None,
    preferred: Sequence[str] = (),
) -> int:
    """Send the C-STORE request of an instance.

    What cannot be brought into the best transfer syntax is sent in the next best.

    Parameters
    ----------
    transcoding : TranscodeAhead
        Who transcodes.
    preferred : sequence of str
        The transfer syntaxes that the peer is to be sent, the best first.
    move_originator : tuple of (AE title, Message ID), optional
        Who asked for it with which C-MOVE (PS3.7 9.1.1.1).

    Returns
    -------
    int
        The Message ID that the answer will bear.

    Raises
    ------
    CannotTranscode
        The peer takes no transfer syntax that the instance can be brought into; why not the best of them.
    AssociationAborted
        The association ended.
    """
    message_id = next_message_id()
    command_set = store_request(
        outgoing.sop_class_uid, outgoing.sop_instance_uid, message_id, move_originator
    )
    problem = CannotTranscode("the peer accepted no presentation context for the instance")
    for number, context in enumerate(choose_contexts(association, outgoing, preferred)):
        try:
            if number == 0 and context.transfer_syntax_uid != outgoing.transfer_syntax_uid:
                _transcode_ahead(association, outgoing, transcoding, preferred)
            _send_checked(association, outgoing, transcoding, context, command_set)
        except CannotTranscode as error:  # nothing has been sent
            problem = error if number == 0 else problem
            continue
        outgoing.on_sent()
        return message_id
    raise problem


def _transcode_ahead(
    association: Association,
    outgoing: Outgoing,
    transcoding: codecs.TranscodeAhead,
    preferred: Sequence[str],
) -> None:
    """Begin with this instance and the next ones: most probably they want the same."""
    for each in (outgoing, *outgoing.upcoming(transcoding.count)):
        best = next(iter(choose_contexts(association, each, preferred)), None)
        if best is not None and best.transfer_syntax_uid != each.transfer_syntax_uid:
            transcoding.begin(each, best.transfer_syntax_uid)


def _send_checked(
    association: Association,
    outgoing: Outgoing,
    transcoding: codecs.TranscodeAhead,
    context: AcceptedContext,
    command_set: bytes,
) -> None:
    try:
        _send_data_set(association, outgoing, transcoding, context, command_set)
    except DamagedObject:  # found before anything was sent: a retry reads the next copy, if there is one
        _send_data_set(association, outgoing, transcoding, context, command_set)


def _send_data_set(
    association: Association,
    outgoing: Outgoing,
    transcoding: codecs.TranscodeAhead,
    context: AcceptedContext,
    command_set: bytes,
) -> None:
    """Send the message with the data set as stored, or transcoded to the transfer syntax of the context."""
    if context.transfer_syntax_uid == outgoing.transfer_syntax_uid:
        with outgoing.open_data_set() as stored:
            send_data_set(association, context.context_id, command_set, stored, outgoing.size_bytes)
        return
    try:
        with (
            transcoding.transcode(outgoing, context.transfer_syntax_uid) as transcoded,
            transcoded.open() as data_set,
        ):
            send_data_set(association, context.context_id, command_set, data_set, transcoded.size_bytes)
    except TransferSyntaxNotSupported as error:
        raise CannotTranscode(str(error)) from None
