"""From an exception class to the exit code of the process: those of sysexits.h where one fits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medserver import errors

FAILURE = 1
USAGE = 2  # as click does
DATA_ERROR = 65  # EX_DATAERR
NO_INPUT = 66  # EX_NOINPUT
UNAVAILABLE = 69  # EX_UNAVAILABLE
SOFTWARE = 70  # EX_SOFTWARE: a bug
CANNOT_CREATE = 73  # EX_CANTCREAT
INPUT_OUTPUT = 74  # EX_IOERR
TEMPORARY_FAILURE = 75  # EX_TEMPFAIL
PROTOCOL = 76  # EX_PROTOCOL
NO_PERMISSION = 77  # EX_NOPERM
CONFIGURATION = 78  # EX_CONFIG

EXIT_CODES: Mapping[type[errors.MedserverError], int] = MappingProxyType(
    {
        errors.MedserverError: FAILURE,
        errors.ConfigError: CONFIGURATION,
        errors.BadUsage: USAGE,
        errors.RequestError: DATA_ERROR,
        errors.CannotUnderstand: DATA_ERROR,
        errors.DataSetTooLarge: DATA_ERROR,
        errors.DataSetMismatch: DATA_ERROR,
        errors.IdentifierMismatch: DATA_ERROR,
        errors.InvalidObjectInstance: DATA_ERROR,
        errors.ClassInstanceConflict: DATA_ERROR,
        errors.SOPClassNotSupported: DATA_ERROR,
        errors.DuplicateInstance: CANNOT_CREATE,
        errors.NoSuchInstance: NO_INPUT,
        errors.NotAuthorised: NO_PERMISSION,
        errors.IdentityRefused: NO_PERMISSION,
        errors.BadRequest: DATA_ERROR,
        errors.UnsupportedMediaType: DATA_ERROR,
        errors.NotAcceptable: DATA_ERROR,
        errors.MixedMediaTypes: DATA_ERROR,
        errors.UnrecognisedOperation: PROTOCOL,
        errors.NoSuchAction: PROTOCOL,
        errors.NoSuchEventType: PROTOCOL,
        errors.InvalidArgument: DATA_ERROR,
        errors.MissingAttribute: DATA_ERROR,
        errors.MissingAttributeValue: DATA_ERROR,
        errors.InvalidAttributeValue: DATA_ERROR,
        errors.NoLongerUpdatable: DATA_ERROR,
        errors.WorkitemRefused: DATA_ERROR,
        errors.WorkitemIsFinal: DATA_ERROR,
        errors.WrongTransactionUID: NO_PERMISSION,
        errors.WorkitemInProgress: DATA_ERROR,
        errors.CannotBecomeScheduled: DATA_ERROR,
        errors.FinalStateUnmet: DATA_ERROR,
        errors.NoSuchWorkitem: NO_INPUT,
        errors.UnknownReceiver: UNAVAILABLE,
        errors.NotScheduled: DATA_ERROR,
        errors.WorkitemNotInProgress: DATA_ERROR,
        errors.WorkitemIsCompleted: DATA_ERROR,
        errors.PerformerUnreachable: UNAVAILABLE,
        errors.PerformerContinues: DATA_ERROR,
        errors.ActionNotAppropriate: DATA_ERROR,
        errors.UnknownMoveDestination: UNAVAILABLE,
        errors.PrintRefused: UNAVAILABLE,
        errors.EmptyFilmSession: UNAVAILABLE,
        errors.PrintQueueFull: UNAVAILABLE,
        errors.FilmSessionQueueFull: UNAVAILABLE,
        errors.ImageTooLarge: UNAVAILABLE,
        errors.NoPrintMemory: UNAVAILABLE,
        errors.OutOfResources: TEMPORARY_FAILURE,
        errors.CannotCountMatches: FAILURE,
        errors.StoreFailure: INPUT_OUTPUT,
        errors.DamagedObject: INPUT_OUTPUT,
        errors.IndexFailure: INPUT_OUTPUT,
        errors.IndexLocked: TEMPORARY_FAILURE,
        errors.IndexUnavailable: TEMPORARY_FAILURE,
        errors.UnknownOutcome: TEMPORARY_FAILURE,
        errors.NotPart10: DATA_ERROR,
        errors.TransferSyntaxNotSupported: DATA_ERROR,
        errors.CannotTranscode: DATA_ERROR,
        errors.InvalidFrameRequest: DATA_ERROR,
        errors.NotMultiFrame: DATA_ERROR,
        errors.NoSuchFrames: DATA_ERROR,
        errors.NoFrameTimes: DATA_ERROR,
        errors.WorkStopped: TEMPORARY_FAILURE,
        errors.WorkTooLong: TEMPORARY_FAILURE,
        errors.WorkerDied: TEMPORARY_FAILURE,
        errors.ProcessingBroke: DATA_ERROR,
        errors.CommandFailed: DATA_ERROR,
        errors.CannotProcess: DATA_ERROR,
        errors.UnknownProcessingType: USAGE,
        errors.UnusableParameters: USAGE,
        errors.IncompleteObjectSet: NO_INPUT,
        errors.MixedObjectSet: DATA_ERROR,
        errors.ObjectTypeNotSupported: DATA_ERROR,
        errors.ObjectNotReadable: DATA_ERROR,
        errors.IrregularStack: DATA_ERROR,
        errors.TooLargeToProcess: TEMPORARY_FAILURE,
        errors.CannotRender: DATA_ERROR,
        errors.RemoteError: UNAVAILABLE,
        errors.PrinterFailed: UNAVAILABLE,
        errors.PrinterRefused: UNAVAILABLE,
        errors.UnknownRemote: UNAVAILABLE,
        errors.DestinationPaused: UNAVAILABLE,
        errors.ConnectionFailed: UNAVAILABLE,
        errors.AssociationRejected: UNAVAILABLE,
        errors.AssociationAborted: UNAVAILABLE,
        errors.NoContextAccepted: UNAVAILABLE,
    }
)


def exit_code(error: BaseException) -> int:
    """Return the exit code for an exception: that of its nearest class with a row, 70 for a bug."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), SOFTWARE)
