"""Events that we tell a peer on its own association, while it asks nothing (N-EVENT-REPORT, PS3.7 10.1.1).

A service puts what it has to tell into `AcceptedAssociation.reports`. The work itself is done by other processes, so
between two requests of the peer each is asked now and then whether it is ready.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from medserver.errors import AssociationAborted, MedserverError
from medserver.scu.exchange import DATA_SET_FOLLOWS, next_message_id
from medserver.wire.acceptor import AcceptedAssociation
from medserver.wire.command_set import RESPONSE, CommandField, encode_command_set
from medserver.wire.message import Message

PAUSE_FIRST_S, PAUSE_LONGEST_S, PAUSE_FACTOR = 0.01, 0.5, 1.5
"""How often it is asked: seldom if it takes long."""

Dispatch = Callable[[Message], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventReport:
    """An event to be told.

    Attributes
    ----------
    context_id : int
        The presentation context.
    sop_class_uid, sop_instance_uid : str
        Whose event it is.
    event_type_id : int
        Which of its events.
    information : bytes
        The encoded Event Information.
    """

    context_id: int
    sop_class_uid: str
    sop_instance_uid: str
    event_type_id: int
    information: bytes


class Report(Protocol):
    """Something that a peer is to be told."""

    def take(self) -> EventReport | bool:
        """Return the event if it is ready; else whether it is still to be waited for."""

    def settle(self, code: int) -> None:
        """Note the status with which the peer has answered."""

    def abandon(self) -> None:
        """Note that it cannot be told on this association."""


def next_message(association: AcceptedAssociation, dispatch: Dispatch) -> Message | None:
    """Return the next request of the peer, None when it has released the association; meanwhile tell it of events.

    Parameters
    ----------
    dispatch : callable
        Performs a request of the peer that crosses an event.

    Raises
    ------
    AssociationAborted
        The association ended in any other way.
    """
    deadline = time.monotonic() + association.limits.network_timeout_s
    pause_s = PAUSE_FIRST_S
    while association.reports and not association.message_waiting(pause_s):
        if association.stopping or time.monotonic() > deadline:
            break
        pause_s = min(pause_s * PAUSE_FACTOR, PAUSE_LONGEST_S)
        for report in list(association.reports):
            if _look(association, report, dispatch):
                deadline = time.monotonic() + association.limits.network_timeout_s
    return association.next_message(max(deadline - time.monotonic(), 0.0))


def abandon(association: AcceptedAssociation) -> None:
    """Leave to others what the peer has not been told."""
    reports, association.reports = association.reports, []
    for report in reports:
        try:
            report.abandon()
        except MedserverError as error:
            logger.warning("what was to be reported is not given back: %s", error)


def _look(association: AcceptedAssociation, report: Report, dispatch: Dispatch) -> bool:
    """Ask whether a report is ready, and send it if it is; return whether it was sent."""
    event: EventReport | bool = False
    try:
        event = report.take()
    except MedserverError as error:
        logger.warning("what is to be reported cannot be read: %s", error)
    if event is True:
        return False
    association.reports.remove(report)
    if event is False:
        return False
    association.idle = False
    try:
        code = _exchange(association, event, dispatch)
    except BaseException:
        association.reports.append(report)  # so that it is abandoned with the association
        raise
    finally:
        association.idle = True
    try:
        report.settle(code)
    except MedserverError as error:
        logger.warning("the answer to a report cannot be written down: %s", error)
    return True


def _exchange(association: AcceptedAssociation, event: EventReport, dispatch: Dispatch) -> int:
    """Send an N-EVENT-REPORT and return the status of the answer (PS3.7 10.3.1).

    The peer may have sent a request just before: that is performed first.
    """
    message_id = next_message_id()
    command_set = {
        "AffectedSOPClassUID": event.sop_class_uid,
        "CommandField": CommandField.N_EVENT_REPORT,
        "MessageID": message_id,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "AffectedSOPInstanceUID": event.sop_instance_uid,
        "EventTypeID": event.event_type_id,
    }
    association.send_message(event.context_id, encode_command_set(command_set), event.information)
    deadline = time.monotonic() + association.limits.dimse_timeout_s
    while True:
        message = association.next_message(max(deadline - time.monotonic(), 0.0))
        if message is None:
            raise AssociationAborted("the peer released the association instead of answering an event")
        if message.command_field == CommandField.N_EVENT_REPORT | RESPONSE and message.message_id == message_id:
            return message.command_set.get("Status", 0x0110)
        dispatch(message)
