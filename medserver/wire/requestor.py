"""The way out: open an association with a remote AE (PS3.8 7.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation, SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from medserver.config import Config, Remote
from medserver.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medserver.errors import AssociationAborted, AssociationRejected, ConnectionFailed, NoContextAccepted
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import PDU_LENGTH_MIN

_INVALID_PDU_PARAMETER_VALUE = 0x06  # PS3.8 9.3.8

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
    """

    ae_title: str
    host: str
    port: int

    @classmethod
    def of(cls, remote: Remote) -> Address:
        """Return where an entry of the configuration is called; it has an address with a port."""
        return cls(remote.ae_title, remote.host, remote.port)

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
    """
    association = Association("requestor", limits)
    requestor, acceptor = association.requestor, association.acceptor
    requestor.ae_title = calling_ae_title
    requestor.maximum_length = limits.pdu_length_max
    requestor.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    requestor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    requestor.address_info = AddressInformation("0.0.0.0", 0)
    requestor.requested_contexts = _contexts(proposals)
    for abstract_syntax in dict.fromkeys(one.abstract_syntax for one in proposals if one.as_scp):
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = abstract_syntax, False, True
        requestor.add_negotiation_item(role)
    for sop_class_uid, information in (extended or {}).items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
        requestor.add_negotiation_item(item)
    acceptor.ae_title = address.ae_title
    acceptor.address_info = AddressInformation("0.0.0.0", address.port)
    acceptor.address_info._addr = address.host  # resolved by the connection, which tries every address
    try:
        association.request()
        _check(association, address)
        _check_answer(association, proposals, address)
    except BaseException:
        association.connection.close()  # nobody else has it
        raise
    association.index_contexts()
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
        association.abort()
        association.dul.finish()
        raise
    association.release()


def associated_with(
    config: Config, remote: Remote, proposals: Sequence[Proposal]
) -> AbstractContextManager[Association]:
    """Open an association to an entry of the configuration, as `associated` does, with the limits that stand there."""
    limits = WireLimits.from_options(config.limits)
    return associated(Address.of(remote), proposals, config.node.ae_title, limits)


def _contexts(proposals: Sequence[Proposal]) -> list[PresentationContext]:
    contexts = []
    for index, proposal in enumerate(proposals):
        context = PresentationContext()
        context.context_id = 2 * index + 1
        context.abstract_syntax = proposal.abstract_syntax
        context._transfer_syntax = list(proposal.transfer_syntaxes)
        contexts.append(context)
    return contexts


def _check(association: Association, address: Address) -> None:
    """Raise what went wrong, with the connection closed."""
    if association.is_established:
        return
    association.dul.finish()
    if (error := association.connection_error) is not None:
        raise ConnectionFailed(f"cannot connect to {address}: {error.strerror or error}")
    if association.is_rejected:
        answer = association.acceptor.primitive
        raise AssociationRejected(
            answer.result,
            answer.result_source,
            answer.diagnostic,
            f"{address} rejected the association: {answer.reason_str} ({answer.result_str})",
        )
    if association._rejected_cx and not association._accepted_cx:
        raise NoContextAccepted(f"{address} accepted none of the proposed presentation contexts")
    raise AssociationAborted(f"{address} aborted the association or did not answer")


def _check_answer(association: Association, proposals: Sequence[Proposal], address: Address) -> None:
    """Abort an association whose acceptor says what leads nowhere."""
    proposed = dict(zip((context.context_id for context in association.requestor.requested_contexts), proposals))
    problem = None
    for context_id, context in association._accepted_cx.items():
        syntaxes = [str(uid) for uid in context.transfer_syntax]
        if len(syntaxes) != 1 or syntaxes[0] not in proposed[context_id].transfer_syntaxes:
            problem = "accepted a transfer syntax that was not proposed"
    # None from a peer that leaves the item out: no limit, like 0.
    if 0 < (association.acceptor.maximum_length or 0) < PDU_LENGTH_MIN:
        problem = f"takes no PDUs of more than {association.acceptor.maximum_length} bytes"
    if problem is not None:
        association.abort_as_provider(_INVALID_PDU_PARAMETER_VALUE)
        association.dul.finish()
        raise AssociationAborted(f"{address} {problem}")
