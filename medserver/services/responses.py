"""Which DIMSE status an error becomes (PS3.7 C, PS3.4 B.2.3, C.4)."""

from __future__ import annotations

from medserver import errors
from medserver.dicom import status

STATUSES: dict[type[errors.MedserverError], int] = {
    errors.CannotUnderstand: status.CANNOT_UNDERSTAND,
    errors.DataSetMismatch: status.DATA_SET_MISMATCH,
    errors.IdentifierMismatch: status.DATA_SET_MISMATCH,
    errors.InvalidObjectInstance: status.INVALID_OBJECT_INSTANCE,
    errors.SOPClassNotSupported: status.SOP_CLASS_NOT_SUPPORTED,
    errors.DuplicateInstance: status.DUPLICATE,
    errors.NoSuchInstance: status.NO_SUCH_INSTANCE,
    errors.NotAuthorised: status.NOT_AUTHORISED,
    errors.UnrecognisedOperation: status.UNRECOGNISED_OPERATION,
    errors.NoSuchSOPClass: status.NO_SUCH_SOP_CLASS,
    errors.NoSuchAction: status.NO_SUCH_ACTION,
    errors.NoSuchEventType: status.NO_SUCH_EVENT_TYPE,
    errors.InvalidArgument: status.INVALID_ARGUMENT_VALUE,
    errors.MissingAttribute: status.MISSING_ATTRIBUTE,
    errors.MissingAttributeValue: status.MISSING_ATTRIBUTE_VALUE,
    errors.InvalidAttributeValue: status.INVALID_ATTRIBUTE_VALUE,
    errors.NoLongerUpdatable: status.PROCESSING_FAILURE,
    errors.UnknownMoveDestination: status.MOVE_DESTINATION_UNKNOWN,
    errors.OutOfResources: status.OUT_OF_RESOURCES,
    errors.ResourceLimitation: status.RESOURCE_LIMITATION,
    errors.CannotCountMatches: status.CANNOT_COUNT_MATCHES,
    errors.StoreFailure: status.PROCESSING_FAILURE,
    errors.IndexFailure: status.PROCESSING_FAILURE,
    errors.IndexLocked: status.OUT_OF_RESOURCES,
    errors.IndexUnavailable: status.OUT_OF_RESOURCES,
    errors.NotPart10: status.PROCESSING_FAILURE,
    errors.TransferSyntaxNotSupported: status.DATA_SET_MISMATCH,
    errors.CannotTranscode: status.PROCESSING_FAILURE,
    errors.RemoteError: status.PROCESSING_FAILURE,
    errors.ConfigError: status.PROCESSING_FAILURE,
    errors.BadUsage: status.PROCESSING_FAILURE,
    errors.RequestError: status.PROCESSING_FAILURE,
}


def status_of(error: errors.MedserverError, *, normalised: bool = False) -> int:
    """Return the status of the closest class of an error, for an operation that is a normalised one or not."""
    rows = (STATUSES[one] for one in type(error).__mro__ if one in STATUSES)
    code = next(rows, status.PROCESSING_FAILURE)
    if normalised and code == status.OUT_OF_RESOURCES:  # which is a status of composite services only
        return status.RESOURCE_LIMITATION
    return code
