"""What the audit trail tells of DIMSE operations: who asked, what for, and how it ended.

Operations that change something are told in the transactions of that: receptions (`medserver.trail.associations`), work
items, performed steps, films. Here are those that only read, by their command: `AUDITED`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from medserver import trail
from medserver.audit import Actor, AuditEvent, events
from medserver.audit.codes import MINOR_FAILURE, RESTRICTED_FUNCTION, SERIOUS_FAILURE, SUCCESS
from medserver.dicom import status, uids
from medserver.errors import MedserverError
from medserver.index import Selection
from medserver.node import Node
from medserver.services.request import Request
from medserver.trail.associations import Carried
from medserver.trail.refusals import refusals
from medserver.trail.subjects import by_patient, subject_of_step
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.command_set import CommandField

logger = logging.getLogger(__name__)


def actor_of(association: AcceptedAssociation) -> Actor:
    """Return who is at the other end of an association, as far as that is known."""
    requestor, principal = association.requestor, association.principal
    user = principal.user.name if principal is not None and principal.user is not None else ""
    # PS3.15 A.5.2.1: loginName@domain-name; who vouches for a user of others is in the name
    user = f"{user}@{association.called_ae_title}" if user and "@" not in user else user
    certificate = association.certificate.fingerprint if association.certificate is not None else ""
    return Actor(requestor.ae_title.strip(), requestor.address, user=user, certificate=certificate)


def carried_by(association: AcceptedAssociation, node: Node) -> Carried:
    """Return what an association has brought so far."""
    if association.carried is None:
        association.carried = Carried(node, association.association_id, actor_of(association))
    return association.carried


def begin_retrieve(request: Request, node: Node, selection: Selection) -> None:
    """Record that instances are about to be sent, of each patient and study.

    Raises
    ------
    OutOfResources
        It cannot be recorded, and must be.
    IndexFailure
        The index does not work.
    """
    request.audited.subjects = selection.subjects()
    source, destination, requestor = _parties(request, node)
    told = [
        events.begin_transferring(source, destination, patient, studies, requestor)
        for patient, studies in by_patient(request.audited.subjects)
    ]
    trail.record(node, told)


def tell_restricted(association: AcceptedAssociation, node: Node, operation: str, why: str) -> None:
    """Record that an AE has asked for what it may not do; often-repeated ones together."""
    who = actor_of(association)
    refusals.note(node, who, RESTRICTED_FUNCTION, f"{operation}: {why}")


def tell_user(association: AcceptedAssociation, node: Node, *, is_login: bool) -> None:
    """Record that a user was identified with an association, or that this has ended (PS3.15 A.5.3.12)."""
    who = actor_of(association)
    if who.user:
        ours = trail.node_actor(node.config.current)
        trail.record(node, [events.user_authentication(who, ours, is_login=is_login)])


class OperationAudit:
    """Records how an operation ended.

    Parameters
    ----------
    request : Request
        The request.
    node : Node
        This node.
    """

    def __init__(self, request: Request, node: Node) -> None:
        self._request = request
        self._node = node
        self._tell = AUDITED.get(request.message.command_field)

    def end(self, code: int, comment: str) -> None:
        """Record the end of the operation.

        Parameters
        ----------
        code : int
            The status with which it ends.
        comment : str
            Why, if that is no success.

        Raises
        ------
        OutOfResources
            It cannot be recorded, and must be.
        """
        if self._tell is not None:
            trail.record(self._node, self._told(code, comment))

    def _told(self, code: int, comment: str) -> Iterable[AuditEvent]:
        try:
            yield from self._tell(self._request, self._node, code, comment)
        except MedserverError as error:  # whose instances they were cannot be looked up
            logger.warning("an audit message is incomplete: %s", error)
            raise


def _query(request: Request, node: Node, code: int, comment: str) -> Iterator[AuditEvent]:
    """Tell of a query (PS3.15 A.5.3.10); one that was cancelled was answered until then."""
    yield events.query(
        actor_of(request.association),
        trail.node_actor(request.config),
        str(request.sop_class_uid),
        request.audited.identifier,
        str(request.context.transfer_syntax_uid),
        _outcome(code),
        comment if _outcome(code) else "",
    )


def _retrieve(request: Request, node: Node, code: int, comment: str) -> Iterator[AuditEvent]:
    """Tell of what was sent, and of what was not, in messages of their own (PS3.15 A.5.2, A.5.3.7)."""
    source, destination, requestor = _parties(request, node)
    audited = request.audited
    count = sum(each.count for each in audited.subjects)
    is_whole = not audited.failed and not audited.has_failed and len(audited.sent) == count
    sent = audited.subjects if is_whole else node.index.subjects_of(audited.sent)
    failed = audited.subjects if audited.has_failed else node.index.subjects_of(audited.failed)
    for subjects, outcome in ((sent, SUCCESS), (failed, SERIOUS_FAILURE)):
        for patient, studies in by_patient(subjects):
            yield events.instances_transferred(
                source, destination, patient, studies, requestor,
                outcome=outcome, description=(comment or f"status {code:04X}") if outcome else "",
            )  # fmt: skip


def _get(request: Request, node: Node, code: int, comment: str) -> Iterator[AuditEvent]:
    """Tell of work items and performed steps that were read (PS3.15 A.5.3.15)."""
    if request.sop_class_uid not in _PROCEDURES:
        return
    uid = str(request.message.command_set.get("RequestedSOPInstanceUID") or "")
    patient, studies = subject_of_step(uid, json.loads(_PROCEDURES[request.sop_class_uid](node, uid)))
    yield events.procedure_record(
        actor_of(request.association), "R", patient, studies, _outcome(code), comment if _outcome(code) else ""
    )


def _workitem(node: Node, uid: str) -> str:
    item = node.index.workitems.get(uid)
    return item.content if item else "{}"


def _performed_step(node: Node, uid: str) -> str:
    step = node.index.performed_steps.get(uid)
    return step.content if step else "{}"


_PROCEDURES: Mapping[str, Callable[[Node, str], str]] = {
    uids.UNIFIED_PROCEDURE_STEP_PUSH: _workitem,
    uids.MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: _performed_step,
}
"""SOP class -> the attributes of an instance, as the text of a DICOM JSON object."""

AUDITED: Mapping[int, Callable[[Request, Node, int, str], Iterator[AuditEvent]]] = {
    CommandField.C_FIND: _query,
    CommandField.C_MOVE: _retrieve,
    CommandField.C_GET: _retrieve,
    CommandField.N_GET: _get,
}
"""The command -> what is told at its end."""


def _parties(request: Request, node: Node) -> tuple[Actor, Actor, Actor]:
    """Return the source, the destination and the requestor of a retrieve."""
    ours, requestor = trail.node_actor(request.config), actor_of(request.association)
    remote = request.audited.destination
    if remote is None or remote.ae_title == requestor.ae_title:
        return ours, requestor, requestor
    return ours, Actor(remote.ae_title, remote.host or ""), requestor


def _outcome(code: int) -> int:
    if status.is_performed(code) or code == status.CANCEL:
        return SUCCESS
    return MINOR_FAILURE if code in (status.NOT_AUTHORISED, status.OUT_OF_RESOURCES) else SERIOUS_FAILURE
