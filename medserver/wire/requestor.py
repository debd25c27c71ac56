"""The way out: open an association with a remote AE (PS3.8 7.1)."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_requestor

from medserver.config import Identification, Remote, Security
from medserver.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medserver.errors import (
    AssociationAborted,
    AssociationRejected,
    ConfigError,
    ConnectionFailed,
    NoContextAccepted,
    OutOfResources,
)
from medserver.identity.offered import offered_identity
from medserver.identity.user_identity import UserIdentity
from medserver.wire.association import AcceptedContext, Association, Partner
from medserver.wire.control_pdus import INVALID_PDU_PARAMETER_VALUE
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import ACCEPTANCE, APPLICATION_CONTEXT_NAME, PDU_LENGTH_MIN
from medserver.wire.state_machine import Event

_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL)
"""Why a connection cannot be opened that is no fault of the remote AE: no descriptor, memory or local port."""

CONTEXTS_MAX = 128
"""An association has at most 128 presentation contexts: odd IDs of one byte (PS3.8 9.3.2.2)."""


@dataclass(frozen=True)
class Address:
    """Where a remote AE is.

    Attributes
    ----------
    ae_title : str
        The called AE title.
    host : str
        A name or an address.
    port : int
        The TCP port.
    security : Security
        Whether it is called over TLS, and by what certificate it is recognised.
    identification : Identification
        Which user is named to it.
    """

    ae_title: str
    host: str
    port: int
    security: Security = Security()
    identification: Identification = Identification()

    @classmethod
    def of(cls, remote: Remote) -> Address:
        """Return where an entry of the configuration is called; it has an address with a port."""
        return cls(remote.ae_title, remote.host, remote.port, remote.security, remote.identification)

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Proposal:
    """One presentation context that is proposed.

    Attributes
    ----------
    abstract_syntax : str
        The SOP class.
    transfer_syntaxes : tuple of str
        What can be used, the preferred one first.
    as_scp : bool
        True to propose that this side is the SCP, as for the storage SOP classes of a C-GET (PS3.7 D.3.3.4).
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    as_scp: bool = False


def associate(
    address: Address,
    proposals: Sequence[Proposal],
    calling_ae_title: str,
    limits: WireLimits,
    extended: Mapping[str, bytes] | None = None,
) -> Association:
    """Open an association.

    Parameters
    ----------
    proposals : sequence of Proposal
        At most 128.
    extended : mapping of str to bytes, optional
        SOP Class Extended Negotiation by SOP class (PS3.7 D.3.3.5).

    Returns
    -------
    Association
        Established; the caller releases it.

    Raises
    ------
    ConnectionFailed
        Nobody listens there, or not in time.
    AssociationRejected
        The remote AE refused.
    AssociationAborted
        It aborted, did not answer in time, or answered with what cannot be used.
    NoContextAccepted
        It accepted no presentation context.
    OutOfResources
        There is no descriptor, memory or port here, or the secret of a user cannot be read.
    """
    try:
        request = _request(address, proposals, calling_ae_title, limits, extended or {})
    except ConfigError as error:  # ours, and nothing was sent
        raise OutOfResources(f"no user can be named to {address}: {error}") from None
    association = Association(limits)
    association.requestor.ae_title = calling_ae_title
    association.acceptor.ae_title, association.acceptor.address = address.ae_title, address.host
    try:
        association.upper_layer.connect(address.host, address.port, address.security)
    except OSError as error:
        kind = OutOfResources if error.errno in _OURS else ConnectionFailed
        raise kind(f"cannot connect to {address}: {error.strerror or error}") from None
    try:
        association.upper_layer.act(Event.TRANSPORT_CONFIRM, A_ASSOCIATE_RQ(request).encode())
        answer = association.upper_layer.receive(time.monotonic() + limits.acse_timeout_s)
        if not isinstance(answer, A_ASSOCIATE):
            problem = association.upper_layer.problem
            raise AssociationAborted(
                f"{address} aborted the association or did not answer{f': {problem}' if problem else ''}"
            )
        if answer.result != ACCEPTANCE:
            raise _rejected(answer, address)
        _note_answer(association.acceptor, answer)
        association.contexts = _accepted_contexts(request, answer, association.acceptor)
        _check(association, proposals, address)
    except BaseException:  # nobody else has it
        abort(association)
        raise
    return association


@contextmanager
def associated(
    address: Address,
    proposals: Sequence[Proposal],
    calling_ae_title: str,
    limits: WireLimits,
    extended: Mapping[str, bytes] | None = None,
) -> Iterator[Association]:
    """Open an association for what is done inside; it is aborted when that fails, and released else.

    Parameters and errors are those of `associate`.
    """
    association = associate(address, proposals, calling_ae_title, limits, extended)
    try:
        yield association
    except BaseException:  # an operation may be under way, which a release must not interrupt
        abort(association)
        raise
    association.release()


def abort(association: Association) -> None:
    """Abort an association, and close its connection."""
    association.abort()
    association.close()


def _request(
    address: Address,
    proposals: Sequence[Proposal],
    calling_ae_title: str,
    limits: WireLimits,
    extended: Mapping[str, bytes],
) -> A_ASSOCIATE:
    """Return the A-ASSOCIATE request (PS3.8 7.1.1)."""
    request = A_ASSOCIATE()
    request.application_context_name = APPLICATION_CONTEXT_NAME
    request.calling_ae_title, request.called_ae_title = calling_ae_title, address.ae_title
    provided = dict.fromkeys(one.abstract_syntax for one in proposals if one.as_scp)
    request.presentation_context_definition_list = [
        _context(2 * index + 1, proposal, proposal.abstract_syntax in provided)
        for index, proposal in enumerate(proposals)
    ]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = limits.pdu_length_max
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    items = [length, implementation, version]
    for abstract_syntax in provided:
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = abstract_syntax, False, True
        items.append(role)
    for sop_class_uid, information in extended.items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
        items.append(item)
    identity = offered_identity(address.identification, is_confidential=address.security.is_required)
    if identity is not None:
        items.append(_identity_item(identity))
    request.user_information = items
    return request


def _identity_item(identity: UserIdentity) -> UserIdentityNegotiation:
    """Return the User Identity sub-item of a request (PS3.7 D.3.3.7.1)."""
    item = UserIdentityNegotiation()
    item.user_identity_type, item.positive_response_requested = int(identity.type), identity.wants_response
    item.primary_field = identity.primary
    if identity.secondary:
        item.secondary_field = identity.secondary
    return item


def _context(context_id: int, proposal: Proposal, as_scp: bool) -> PresentationContext:
    context = PresentationContext()
    context.context_id = context_id
    context.abstract_syntax = proposal.abstract_syntax
    context.transfer_syntax = list(proposal.transfer_syntaxes)
    if as_scp:
        context.scu_role, context.scp_role = False, True
    return context


def _rejected(answer: A_ASSOCIATE, address: Address) -> AssociationRejected:
    """Return the error of an association that was rejected (PS3.8 9.3.4)."""
    return AssociationRejected(
        answer.result,
        answer.result_source,
        answer.diagnostic,
        f"{address} rejected the association: {answer.reason_str} ({answer.result_str})",
    )


def _note_answer(acceptor: Partner, answer: A_ASSOCIATE) -> None:
    """Note what the acceptor says of itself (PS3.7 D.3.3)."""
    roles: dict[str, tuple[bool, bool]] = {}
    extended: dict[str, bytes] = {}
    for item in answer.user_information:
        if isinstance(item, MaximumLengthNotification):
            acceptor.maximum_length = item.maximum_length_received
        elif isinstance(item, ImplementationClassUIDNotification):
            acceptor.implementation_class_uid = str(item.implementation_class_uid or "")
        elif isinstance(item, ImplementationVersionNameNotification):
            acceptor.implementation_version_name = str(item.implementation_version_name or "")
        elif isinstance(item, SCP_SCU_RoleSelectionNegotiation):
            roles[str(item.sop_class_uid)] = bool(item.scu_role), bool(item.scp_role)
        elif isinstance(item, SOPClassExtendedNegotiation):
            extended[str(item.sop_class_uid)] = item.service_class_application_information
    acceptor.roles, acceptor.extended = roles, extended


def _accepted_contexts(request: A_ASSOCIATE, answer: A_ASSOCIATE, acceptor: Partner) -> dict[int, AcceptedContext]:
    """Return the contexts that the acceptor accepts, with the roles of this side (PS3.7 D.3.3.4)."""
    negotiated = negotiate_as_requestor(
        request.presentation_context_definition_list,
        answer.presentation_context_definition_results_list,
        acceptor.roles,
    )
    return {
        context.context_id: AcceptedContext(
            context.context_id,
            str(context.abstract_syntax),
            str(context.transfer_syntax[0]) if context.transfer_syntax else "",
            bool(context.as_scu),
            bool(context.as_scp),
        )
        for context in negotiated
        if context.result == ACCEPTANCE
    }


def _check(association: Association, proposals: Sequence[Proposal], address: Address) -> None:
    """Raise what makes an answer useless.

    Raises
    ------
    NoContextAccepted, AssociationAborted
    """
    if not association.contexts:
        raise NoContextAccepted(f"{address} accepted none of the proposed presentation contexts")
    proposed = {2 * index + 1: proposal.transfer_syntaxes for index, proposal in enumerate(proposals)}
    problem = None
    if any(one.transfer_syntax_uid not in proposed[one.context_id] for one in association.contexts.values()):
        problem = "accepted a transfer syntax that was not proposed"
    if 0 < association.acceptor.maximum_length < PDU_LENGTH_MIN:
        problem = f"takes no PDUs of more than {association.acceptor.maximum_length} bytes"
    if problem is not None:
        association.abort_as_provider(INVALID_PDU_PARAMETER_VALUE)
        raise AssociationAborted(f"{address} {problem}")
