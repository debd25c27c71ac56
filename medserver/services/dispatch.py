"""From a message to its handler and back: the one dispatch and the one error boundary of the DIMSE services."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from medserver.accounts.authentication import check_still_demanded, current_user
from medserver.archive.follow_ups import note_complete
from medserver.config import Config
from medserver.dicom import status
from medserver.errors import (
    AssociationAborted,
    IdentityRefused,
    MedserverError,
    NotAuthorised,
    SOPClassNotSupported,
    UnrecognisedOperation,
)
from medserver.identity.principal import Principal, principal_of
from medserver.log import Event, escaped
from medserver.node import Node
from medserver.scu.counts import Counts, Outcome
from medserver.scu.exchange import DATA_SET_FOLLOWS, response_to
from medserver.services.audit import OperationAudit, actor_of, tell_restricted, tell_user
from medserver.services.registry import Service, service_for
from medserver.services.reporting import Reporter
from medserver.services.request import Handler, Request, Response
from medserver.services.responses import answer_to, is_stated, operation_name
from medserver.tls.judgement import judge
from medserver.trail.acting import acting
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.association import AcceptedContext
from medserver.wire.command_set import NO_DATA_SET, RESPONSE, CommandField
from medserver.wire.message import Message
from medserver.wire.pdata import pdata_pieces

BATCH_MAX = 64
"""How many pending responses go to the network together."""

BATCH_S = 0.02
"""How long a pending response waits for others, at most."""

ERROR_COMMENT_MAX = 64
"""The length of the VR LO (PS3.5 6.2)."""

logger = logging.getLogger(__name__)


def serve(association: AcceptedAssociation, node: Node) -> bool:
    """Serve an association until the peer releases it, is silent for a while, or the node stops.

    Returns
    -------
    bool
        Whether the association is idle, and goes on when something arrives.

    Raises
    ------
    AssociationAborted
        The association ended in any other way.
    """
    with acting(actor_of(association)):
        is_idle = _serve(association, node)
    if association.is_released:
        _note_complete(association, node)
    return is_idle


def _serve(association: AcceptedAssociation, node: Node) -> bool:
    if association.counts is None:
        _tell_login(association, node)
    reporter = Reporter(association)
    counts = association.counts = association.counts or Counts()
    is_idle = False
    try:
        while (message := reporter.next_request()) is not None:
            dispatch(association, message, node, counts)
        is_idle = association.is_established
    except AssociationAborted:
        if not association.stopping:
            raise
    finally:
        if not is_idle:
            counts.log()
            reporter.abandon()
            if association.print_session is not None:
                association.print_session.close()
            if association.carried is not None:
                association.carried.end()
            _tell_logout(association, node)
    return is_idle


def _tell_login(association: AcceptedAssociation, node: Node) -> None:
    """Record that a user has come with the association.

    Raises
    ------
    AssociationAborted
        It cannot be recorded, and must be: the association is aborted before anything is done.
    """
    try:
        tell_user(association, node, is_login=True)
    except MedserverError as error:
        association.abort()
        raise AssociationAborted(str(error)) from error


def _tell_logout(association: AcceptedAssociation, node: Node) -> None:
    """Record that a user is gone with the association, which has ended: nothing is refused any more."""
    try:
        tell_user(association, node, is_login=False)
    except MedserverError as error:
        logger.debug("%s", error)


def _note_complete(association: AcceptedAssociation, node: Node) -> None:
    """Note that the peer has sent what it wanted to send, if a rule goes by that."""
    try:
        note_complete(node, "association", association.studies, node.clock())
    except MedserverError as error:  # then they are complete when they are quiet
        logger.warning("the end of an association is not noted: %s", error)


def dispatch(association: AcceptedAssociation, message: Message, node: Node, counts: Counts) -> None:
    """Perform one request, send every response to it, and count what became of it."""
    if message.command_field == CommandField.C_CANCEL or message.command_field & RESPONSE:
        return  # it came too late, or nobody waits for it
    responder = Responder(association, message, counts)
    try:
        request, handler = _find_handler(association, message, node, counts)
        responder.audit = OperationAudit(request, node)
        result = handler(request, node)
        if isinstance(result, Response):
            responder.send_last(result)
        else:
            _send_all(responder, result)
    except AssociationAborted as error:
        responder.audit_end(status.PROCESSING_FAILURE, str(error))
        raise
    except MedserverError as error:
        answer = answer_to(error, message.command_field)
        if association.failures.allows((message.command_field, answer.code)):
            logger.info(Event(responder.operation, status=f"{answer.code:04X}", comment=str(error)))
        if isinstance(error, NotAuthorised):
            tell_restricted(association, node, responder.operation, str(error))
        responder.fail(answer.code, str(error), answer.error_id)
    except Exception:
        # A mistake of ours. The peer learns no more than that the operation failed.
        logger.exception("%s failed", responder.operation)
        responder.fail(status.PROCESSING_FAILURE, "internal error")


def _find_handler(
    association: AcceptedAssociation, message: Message, node: Node, counts: Counts
) -> tuple[Request, Handler]:
    """Return the request and its handler, or raise why there is none.

    The rights are those of the configuration of this moment, not those of the negotiation; the roles are those of the
    negotiation.
    """
    command_set = message.command_set
    context = association.contexts[message.context_id]
    sop_class_uid = command_set.get("AffectedSOPClassUID") or command_set.get("RequestedSOPClassUID") or ""
    config = node.config.current
    principal = _principal(association, config, node)
    service = service_for(context.abstract_syntax, principal.remote.private_sop_classes)
    if service is None:
        raise SOPClassNotSupported("the SOP class is no longer served for the calling AE")
    handler = _handler_of(message.command_field, service, context, principal)
    _check_sop_class(association, str(sop_class_uid), service, context)
    extended = association.acceptor.extended.get(context.abstract_syntax, b"")
    request = Request(
        association=association,
        message=message,
        context=context,
        sop_class_uid=sop_class_uid,
        principal=principal,
        config=config,
        extended=extended,
        counts=counts,
    )
    return request, handler


def _check_sop_class(
    association: AcceptedAssociation, sop_class_uid: str, service: Service, context: AcceptedContext
) -> None:
    """Check the SOP class that a command names.

    Raises
    ------
    SOPClassNotSupported
        It is not that of the presentation context, nor what commands of the service name.
    """
    named = service.command_sop_class_uid
    if named and sop_class_uid == named:
        return
    if sop_class_uid in service.meta_sop_classes.get(context.abstract_syntax, ()):
        return
    if sop_class_uid != context.abstract_syntax and service.right != "store":
        raise SOPClassNotSupported("the SOP class is not that of the presentation context")
    if named and association.failures.allows((service.name, sop_class_uid)):
        # pynetdicom before 2.0 (its issue 509) and fo-dicom (1322) name the class of the presentation context.
        logger.info(Event("SOP class understood", service=service.name, named=sop_class_uid, expected=named))


def _handler_of(command_field: int, service: Service, context: AcceptedContext, principal: Principal) -> Handler:
    """Return the handler of an operation, whose invoker must have its role as well as the right (PS3.7 D.3.3.4).

    Raises
    ------
    NotAuthorised
        The role was not negotiated for the presentation context, or the right is missing.
    UnrecognisedOperation
        The service does not have the operation.
    """
    may_use, may_provide = service.roles_of(principal, context.abstract_syntax)
    if command_field in service.reverse_operations:
        handler, right, is_allowed = service.reverse_operations[command_field], service.reverse_right, may_provide
        role, has_role = "SCP", context.as_scu
    elif command_field in service.operations:
        handler, right, is_allowed = service.operations[command_field], service.right, may_use
        role, has_role = "SCU", context.as_scp
    else:
        raise UnrecognisedOperation("the SOP class does not have this operation")
    if not has_role:
        raise NotAuthorised(f"the calling AE is not the {role} in this presentation context")
    if not is_allowed:
        who = "the calling AE" if principal.user is None else f"user {principal.user.name} at the calling AE"
        raise NotAuthorised(f"{right} is not allowed for {who}")
    return handler


def _principal(association: AcceptedAssociation, config: Config, node: Node) -> Principal:
    """Return who the requestor is by the configuration as it is now, and its user as it is at this moment.

    Raises
    ------
    NotAuthorised
        It is no longer known.
    """
    principal = association.principal
    user = None if principal.user is None else current_user(node.index, principal.user)
    if principal.user is not None and user is None:
        raise NotAuthorised("the user is no longer known, disabled or expired")
    if association.known_by is config and user == principal.user:
        return principal
    remote = config.remotes_for(association.requestor.ae_title, principal.address)
    if remote is None:
        raise NotAuthorised("the calling AE is no longer configured")
    verdict = judge(remote.security, association.presented)
    if verdict.problem:
        raise NotAuthorised(verdict.problem)
    try:
        check_still_demanded(config, remote.identification, user)
    except IdentityRefused as error:
        raise NotAuthorised(str(error)) from None
    association.principal = principal_of(remote, principal.address, user, verdict.certificate)
    association.known_by = config
    return association.principal


def _send_all(responder: Responder, responses: Iterator[Response | None]) -> None:
    """Send pending responses in growing batches, and the last one by itself."""
    try:
        for response in responses:
            if response is None:
                responder.send_what_waits()
            elif status.is_pending(response.code):
                responder.send_pending(response)
            else:
                responder.send_last(response)
    finally:
        responses.close()


class Responder:
    """Encodes, sends and counts the responses to one request."""

    def __init__(self, association: AcceptedAssociation, message: Message, counts: Counts) -> None:
        self._association = association
        self._message = message
        self._counts = counts
        self._batch: list[bytes | memoryview] = []
        self._batch_count = 0
        self._batch_limit = 1
        self._flushed_at = time.monotonic()
        self.audit: OperationAudit | None = None
        self._pending_command_sets: dict[int, bytes] = {}

    @property
    def operation(self) -> str:
        """Return what was asked for, in words."""
        return operation_name(self._message.command_field)

    def send_pending(self, response: Response) -> None:
        """Send a pending response, perhaps together with the next ones."""
        command_set = self._command_set(response)
        length = self._association.pdu_length_to_peer
        self._batch += pdata_pieces(self._message.context_id, command_set, True, length)
        if response.identifier is not None:
            self._batch += pdata_pieces(self._message.context_id, response.identifier, False, length)
        self._batch_count += 1
        if self._batch_count >= self._batch_limit:
            self._flush()
        else:
            self.send_what_waits()

    def send_what_waits(self) -> None:
        """Send pending responses that have waited long enough for others."""
        if self._batch and time.monotonic() - self._flushed_at > BATCH_S:
            self._flush()

    def send_last(self, response: Response) -> None:
        """Send the response that ends the operation, once that is recorded."""
        if not self.audit_end(response.code, response.comment):
            response = Response(status.OUT_OF_RESOURCES, "it cannot be recorded in the audit trail")
        command_set = self._command_set(response)
        self._flush()
        if self._message.command_field == CommandField.C_STORE and status.is_performed(response.code):
            self._count("stored")
        self._association.send_message(self._message.context_id, command_set, response.identifier)

    def audit_end(self, code: int, comment: str) -> bool:
        """Record how the operation ended, once; False if that cannot be, and must be."""
        audit, self.audit = self.audit, None
        if audit is None:
            return True
        try:
            audit.end(code, comment)
        except MedserverError:
            return False
        return True

    def _count(self, outcome: Outcome) -> None:
        self._counts.add(self._association.contexts[self._message.context_id].abstract_syntax, outcome)

    def fail(self, code: int, comment: str, error_id: int | None = None) -> None:
        """End the operation with a failure, once the rest of its data set has been passed over."""
        self._count("refused")
        if not self._message.drain(self._association.limits.drain_max_bytes):
            self._association.abort_as_provider()
            raise AssociationAborted("the peer goes on with a data set that was refused")
        elements = {} if error_id is None else {"ErrorID": error_id}
        self.send_last(Response(code, comment, elements=elements))

    def _flush(self) -> None:
        if self._batch:
            self._association.write(self._batch)
            self._batch, self._batch_count = [], 0
            self._batch_limit = min(self._batch_limit * 2, BATCH_MAX)
        self._flushed_at = time.monotonic()

    def _command_set(self, response: Response) -> bytes:
        if not status.is_pending(response.code) or response.elements:
            return self._encode(response)
        if response.code not in self._pending_command_sets:
            self._pending_command_sets[response.code] = self._encode(response)
        return self._pending_command_sets[response.code]

    def _encode(self, response: Response) -> bytes:
        """Encode the command set of a response.

        Raises
        ------
        LookupError
            A handler has answered with a status that is not stated of its operation.
        """
        if not is_stated(response.code, self._message.command_field):
            raise LookupError(f"status {response.code:04X} of {self.operation} is not in the table of statuses")
        return response_to(
            self._message,
            response.code,
            CommandDataSetType=NO_DATA_SET if response.identifier is None else DATA_SET_FOLLOWS,
            # A backslash would separate values in an LO (PS3.5 6.2).
            ErrorComment=escaped(response.comment, ERROR_COMMENT_MAX).replace("\\", "/") if response.comment else None,
            **response.elements,
        )
