"""Events that we tell a peer on its own association, while it asks nothing (N-EVENT-REPORT, PS3.7 10.1.1).

A service puts what it has to tell into `AcceptedAssociation.reports`. The work itself is done by other processes, so
between two requests of the peer each is asked now and then whether it is ready. One event is told at a time.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from medserver.dicom import status
from medserver.errors import AssociationAborted, MedserverError
from medserver.scu.exchange import next_message_id
from medserver.scu.normalized import event_report_request
from medserver.wire.accepted_association import THREAD_KEPT_S, AcceptedAssociation, AssociationState
from medserver.wire.command_set import RESPONSE, CommandField
from medserver.wire.message import Message

PAUSE_FIRST_S, PAUSE_LONGEST_S, PAUSE_FACTOR = 0.01, 0.5, 1.5
"""How often it is asked: seldom if it takes long."""

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


class Reporter:
    """Gives the requests of a peer one after the other, and tells it of events in between.

    Parameters
    ----------
    association : AcceptedAssociation
        The association; its state is kept up to date here.
    """

    def __init__(self, association: AcceptedAssociation) -> None:
        self._association = association
        self._unanswered: tuple[int, Report] | None = None  # its Message ID, and what it reports

    def next_request(self) -> Message | None:
        """Return the next request of the peer; None when it has released the association, or is silent for a while.

        It may have crossed an event: then the time in which that is to be answered begins anew behind it.

        Raises
        ------
        AssociationAborted
            The association ended in any other way.
        """
        while True:
            message = self._next_message()
            if message is None:
                return None
            if not self._settles(message):
                self._association.enter(AssociationState.PERFORMING)
                return message

    def _next_message(self) -> Message | None:
        association = self._association
        association.enter(AssociationState.IDLE if self._unanswered is None else AssociationState.AWAITING_ANSWER)
        pause_s = PAUSE_FIRST_S
        while association.state is AssociationState.IDLE:
            if association.stopping:  # who stops the node looks in the other order
                association.abort_as_provider()
                raise AssociationAborted("the node is being stopped")
            if association.message_waiting(pause_s if association.reports else THREAD_KEPT_S):
                break
            if association.remaining_s <= 0:
                break
            if not association.reports:
                return None
            pause_s = min(pause_s * PAUSE_FACTOR, PAUSE_LONGEST_S)
            self._send_first_ready()
        return association.next_message(association.remaining_s)

    def _send_first_ready(self) -> None:
        """Ask what is to be reported whether it is ready, and send the first that is."""
        for report in list(self._association.reports):
            event = _take(report)
            if event is not True:
                self._association.reports.remove(report)
            if isinstance(event, EventReport):
                self._send(event, report)
                return

    def _send(self, event: EventReport, report: Report) -> None:
        """Send an N-EVENT-REPORT (PS3.7 10.3.1)."""
        message_id = next_message_id()
        self._unanswered = message_id, report
        request = event_report_request(message_id, event.sop_class_uid, event.sop_instance_uid, event.event_type_id)
        self._association.send_message(event.context_id, request, event.information)
        self._association.enter(AssociationState.AWAITING_ANSWER)

    def _settles(self, message: Message) -> bool:
        """Tell whether a message answers the event, and note with which status."""
        if message.command_field != CommandField.N_EVENT_REPORT | RESPONSE or self._unanswered is None:
            return False
        message_id, report = self._unanswered
        if message.message_id != message_id:
            return False
        self._unanswered = None
        try:
            report.settle(message.command_set.get("Status", status.PROCESSING_FAILURE))
        except MedserverError as error:
            logger.warning("the answer to a report cannot be written down: %s", error)
        return True

    def abandon(self) -> None:
        """Leave to others what the peer has not been told, or has not answered."""
        reports, self._association.reports = self._association.reports, []
        if self._unanswered is not None:
            reports.append(self._unanswered[1])
        for report in reports:
            try:
                report.abandon()
            except MedserverError as error:
                logger.warning("what was to be reported is not given back: %s", error)


def _take(report: Report) -> EventReport | bool:
    """Return what `Report.take` does; what cannot be read is not waited for."""
    try:
        return report.take()
    except MedserverError as error:
        logger.warning("what is to be reported cannot be read: %s", error)
        return False
