"""Print Job events, on the association that made the job (PS3.4 H.4.5.1.2.1)."""

from __future__ import annotations

from medserver.dicom.json_model import write_json
from medserver.dicom.print_classes import PRINT_JOB
from medserver.node import Node
from medserver.printing.print_jobs import LAST_EVENTS, event_of
from medserver.services.reporting import EventReport
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.association import AcceptedContext


class PrintJobReport:
    """What becomes of a print job, to be reported on its association (see `reporting.Report`).

    Parameters
    ----------
    node : Node
        Where it was made.
    association : AcceptedAssociation
        By which.
    context : AcceptedContext
        The presentation context of the Print Job SOP class.
    print_job_uid : str
        The job.
    """

    def __init__(
        self, node: Node, association: AcceptedAssociation, context: AcceptedContext, print_job_uid: str
    ) -> None:
        self._node = node
        self._association = association
        self._context = context
        self._uid = print_job_uid
        self._told = 0

    def take(self) -> EventReport | bool:
        """Return the next event, once the job has come to another state; False if there is no such job."""
        films = self._node.index.films.of_request(self._uid)
        if not films:
            return False
        event_type_id, information = event_of(films)
        if event_type_id == self._told:
            return True
        self._told = event_type_id
        encoded = write_json(information, self._context.transfer_syntax_uid)
        return EventReport(self._context.context_id, PRINT_JOB, self._uid, event_type_id, encoded)

    def settle(self, code: int) -> None:
        """Go on with the next state, whatever the peer has answered."""
        del code
        if self._told not in LAST_EVENTS:
            self._association.reports.append(self)

    def abandon(self) -> None:
        """Tell nobody: the peer can ask with an N-GET on another association."""
