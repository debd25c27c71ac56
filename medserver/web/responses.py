"""From an error to an HTTP status (PS3.18 8.5), and from an error of storing to a Failure Reason (PS3.18 10.5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medserver import errors

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ACCEPTABLE = 400, 401, 403, 404, 406
CONFLICT, GONE, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, TOO_MANY_REQUESTS = 409, 410, 413, 415, 429
INTERNAL_ERROR, NOT_IMPLEMENTED, SERVICE_UNAVAILABLE = 500, 501, 503

STATUSES: Mapping[type[errors.MedserverError], int] = MappingProxyType({
    errors.MedserverError: INTERNAL_ERROR,
    errors.RequestError: BAD_REQUEST,
    errors.IdentityRefused: UNAUTHORIZED,
    errors.NotAuthorised: FORBIDDEN,
    errors.NoSuchInstance: NOT_FOUND,
    errors.NoSuchFrames: NOT_FOUND,
    errors.NotAcceptable: NOT_ACCEPTABLE,
    errors.UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE,
    errors.DataSetTooLarge: TOO_LARGE,
    errors.DuplicateInstance: CONFLICT,
    errors.WorkitemRefused: CONFLICT,
    errors.NoSuchWorkitem: NOT_FOUND,
    errors.UnknownReceiver: NOT_FOUND,
    errors.NotScheduled: BAD_REQUEST,
    errors.WrongTransactionUID: BAD_REQUEST,
    errors.OutOfResources: SERVICE_UNAVAILABLE,
    errors.IndexLocked: SERVICE_UNAVAILABLE,
    errors.IndexUnavailable: SERVICE_UNAVAILABLE,
    errors.CannotTranscode: NOT_ACCEPTABLE,
    errors.TransferSyntaxNotSupported: NOT_ACCEPTABLE,
    errors.CannotRender: NOT_ACCEPTABLE,
})
"""Error -> HTTP status; an error without a row has that of the class above it."""

FAILURE_REASONS: Mapping[type[errors.MedserverError], int] = MappingProxyType({
    errors.MedserverError: 0x0110,
    errors.OutOfResources: 0xA700,
    errors.IndexUnavailable: 0xA700,
    errors.IndexLocked: 0xA700,
    errors.DataSetMismatch: 0xA900,
    errors.CannotUnderstand: 0xC000,
    errors.NotPart10: 0xC000,
    errors.InvalidObjectInstance: 0x0117,
    errors.DuplicateInstance: 0x0111,
    errors.TransferSyntaxNotSupported: 0xC122,
    errors.SOPClassNotSupported: 0x0122,
    errors.NotAuthorised: 0x0124,
})
"""Error -> Failure Reason (0008,1197) of an instance that was not stored (PS3.18 table I.2-2)."""


def status_of(error: errors.MedserverError) -> int:
    """Return the HTTP status of an error."""
    return _nearest(type(error), STATUSES)


def failure_reason_of(error: errors.MedserverError) -> int:
    """Return the Failure Reason of an error of storing."""
    return _nearest(type(error), FAILURE_REASONS)


def _nearest(kind: type[BaseException], table: Mapping[type[errors.MedserverError], int]) -> int:
    return next(table[each] for each in kind.__mro__ if each in table)
