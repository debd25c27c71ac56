"""The PDUs that begin and end an association, between bytes and primitives (PS3.8 9.3).

pynetdicom encodes and decodes them, but for two: association requests as they are received (`associate_request`), and
our answers that accept one (`associate_accept`).
"""

from __future__ import annotations

from collections.abc import Callable

from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ, PDU
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT

from medserver.wire.associate_accept import recognised
from medserver.wire.associate_request import decode_associate_request
from medserver.wire.negotiation import Refusal
from medserver.wire.state_machine import PDUType

SERVICE_USER, SERVICE_PROVIDER = 0, 2
"""Source of an A-ABORT (PS3.8 9.3.8)."""

REASON_NOT_SPECIFIED, UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_PDU_PARAMETER_VALUE = 0, 1, 2, 6
"""Reason/Diag. of an A-ABORT whose source is the service provider (PS3.8 9.3.8)."""

_ABORT_REASONS = frozenset({0, 1, 2, 4, 5, 6})
"""Reason/Diag. of an A-ABORT, without what is reserved (PS3.8 9.3.8)."""

_REJECTION_REASONS = {1: frozenset({1, 2, 3, 7}), 2: frozenset({1, 2}), 3: frozenset({1, 2})}
"""Source to Reason/Diag. of an A-ASSOCIATE-RJ, without what is reserved (PS3.8 9.3.4)."""

_REJECTED_PERMANENT, _REJECTED_TRANSIENT = 1, 2
_REJECTED_BY_USER, _NO_REASON_GIVEN = 1, 1

RELEASE_RQ = A_RELEASE_RQ().encode()
RELEASE_RP = A_RELEASE_RP().encode()


def encode_abort(source: int, reason: int = REASON_NOT_SPECIFIED) -> bytes:
    """Encode an A-ABORT PDU (PS3.8 9.3.8)."""
    abort = A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = source, reason
    return abort.encode()


def encode_reject(refusal: Refusal) -> bytes:
    """Encode an A-ASSOCIATE-RJ PDU (PS3.8 9.3.4)."""
    rejection = A_ASSOCIATE_RJ()
    rejection.result, rejection.source = refusal.result, refusal.source
    rejection.reason_diagnostic = refusal.reason
    return rejection.encode()


def provider_abort(reason: int) -> A_P_ABORT:
    """Return the indication of an abort by the service provider (PS3.8 7.4)."""
    primitive = A_P_ABORT()
    primitive.provider_reason = reason
    return primitive


def _decoded(kind: type[PDU], encoded: bytes) -> PDU:
    pdu = kind()
    pdu.decode(encoded)
    return pdu


def _decode_reject(encoded: bytes) -> A_ASSOCIATE:
    """Decode an A-ASSOCIATE-RJ; reserved values say nothing, and whoever sends them rejects all the same."""
    rejection = _decoded(A_ASSOCIATE_RJ, encoded)
    if rejection.result not in (_REJECTED_PERMANENT, _REJECTED_TRANSIENT):
        rejection.result = _REJECTED_PERMANENT
    if rejection.reason_diagnostic not in _REJECTION_REASONS.get(rejection.source, ()):
        rejection.source, rejection.reason_diagnostic = _REJECTED_BY_USER, _NO_REASON_GIVEN
    return rejection.to_primitive()


def _decode_abort(encoded: bytes) -> A_ABORT | A_P_ABORT:
    """Decode an A-ABORT; reserved values say nothing, and whoever sends them aborts all the same."""
    abort = _decoded(A_ABORT_RQ, encoded)
    if abort.source != SERVICE_PROVIDER:
        abort.source = SERVICE_USER
    elif abort.reason_diagnostic not in _ABORT_REASONS:
        abort.reason_diagnostic = REASON_NOT_SPECIFIED
    return abort.to_primitive()


DECODERS: dict[PDUType, Callable[[bytes], object]] = {
    PDUType.ASSOCIATE_RQ: decode_associate_request,
    PDUType.ASSOCIATE_AC: lambda encoded: _decoded(A_ASSOCIATE_AC, recognised(encoded)).to_primitive(),
    PDUType.ASSOCIATE_RJ: _decode_reject,
    PDUType.RELEASE_RQ: lambda encoded: _decoded(A_RELEASE_RQ, encoded).to_primitive(),
    PDUType.RELEASE_RP: lambda encoded: _decoded(A_RELEASE_RP, encoded).to_primitive(),
    PDUType.ABORT: _decode_abort,
}
"""PDU type to what makes the primitive of it; hostile bytes lead pynetdicom's decoders into any exception."""
