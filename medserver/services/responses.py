"""What requests are answered with: the one table of statuses, for dispatch, the conformance statement and tests."""

from __future__ import annotations

from dataclasses import dataclass

from medserver import errors
from medserver.dicom import status
from medserver.wire.command_set import CommandField

_STORE = frozenset({CommandField.C_STORE})
_FIND = frozenset({CommandField.C_FIND})
_MOVE = frozenset({CommandField.C_MOVE})
_RETRIEVE = _MOVE | {CommandField.C_GET}
_ECHO = frozenset({CommandField.C_ECHO})
_CREATE, _SET = frozenset({CommandField.N_CREATE}), frozenset({CommandField.N_SET})
_READ = frozenset({CommandField.N_GET})
_DELETE = frozenset({CommandField.N_DELETE})
_ACTION, _EVENT = frozenset({CommandField.N_ACTION}), frozenset({CommandField.N_EVENT_REPORT})
_NORMALISED = _CREATE | _SET | _READ | _ACTION | _EVENT | _DELETE
_EVERY: frozenset[CommandField] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """One status, and when a request is answered with it.

    Attributes
    ----------
    code : int
        The DIMSE status.
    operations : frozenset of CommandField
        The operations that are answered so; empty for every operation, those that no service has included.
    condition : str
        When; empty where the errors say it.
    errors : tuple of type
        The errors that become this status: these classes, and those below them without a row for the operation.
    error_id : int or None
        The Error ID (0000,0903) that goes with it.
    """

    code: int
    operations: frozenset[CommandField]
    condition: str = ""
    errors: tuple[type[errors.MedserverError], ...] = ()
    error_id: int | None = None

    def is_for(self, command_field: int) -> bool:
        """Tell whether an operation can be answered so."""
        return not self.operations or command_field in self.operations

    @property
    def when(self) -> str:
        """The situation in words."""
        return self.condition or " ".join((error.__doc__ or "").strip().splitlines()[0] for error in self.errors)


ANSWERS = (
    Answer(status.SUCCESS, _EVERY, "The operation was performed."),
    Answer(status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, _SET, "Some attributes of a work item are never changed."),
    Answer(status.INVALID_ATTRIBUTE_VALUE, _CREATE | _SET, errors=(errors.InvalidAttributeValue,)),
    Answer(
        status.ATTRIBUTE_LIST_ERROR,
        _SET | _CREATE | _READ,
        "Some attributes must not be changed, or are not known, and were left out; the others were taken, or told.",
    ),
    # PS3.4 F.7.2.2.4
    Answer(status.PROCESSING_FAILURE, _SET, errors=(errors.NoLongerUpdatable,), error_id=status.NO_LONGER_UPDATABLE),
    Answer(status.PROCESSING_FAILURE, _EVERY, "Any other failure.", (errors.MedserverError,)),
    Answer(status.DUPLICATE, _STORE, errors=(errors.DuplicateInstance,)),
    Answer(
        status.DUPLICATE,
        _CREATE,
        "There is a performed procedure step, a work item, or something of print management, of this UID.",
        (errors.DuplicateInstance,),
    ),
    Answer(
        status.NO_SUCH_INSTANCE,
        _NORMALISED - _CREATE,
        "There is no performed procedure step, or nothing of print management, of this UID; storage commitment: it is "
        "not the well-known instance.",
        (errors.NoSuchInstance,),
    ),
    Answer(status.NO_SUCH_EVENT_TYPE, _EVENT, errors=(errors.NoSuchEventType,)),
    Answer(status.INVALID_ARGUMENT_VALUE, _ACTION | _EVENT, errors=(errors.InvalidArgument,)),
    Answer(
        status.ATTRIBUTE_VALUE_OUT_OF_RANGE, _CREATE | _SET, "More copies than the printer makes; so many are taken."
    ),
    Answer(status.INVALID_OBJECT_INSTANCE, _STORE | _NORMALISED, errors=(errors.InvalidObjectInstance,)),
    Answer(status.NO_SUCH_SOP_CLASS, _NORMALISED, errors=(errors.SOPClassNotSupported,)),
    Answer(status.CLASS_INSTANCE_CONFLICT, _SET | _ACTION | _DELETE, errors=(errors.ClassInstanceConflict,)),
    Answer(status.MISSING_ATTRIBUTE, _CREATE, errors=(errors.MissingAttribute,)),
    Answer(status.MISSING_ATTRIBUTE_VALUE, _CREATE, errors=(errors.MissingAttributeValue,)),
    # An N-SET has no status for an attribute that is not there (PS3.7 10.1.3.1.9).
    Answer(status.MISSING_ATTRIBUTE_VALUE, _SET, errors=(errors.MissingAttribute,)),
    Answer(
        status.SOP_CLASS_NOT_SUPPORTED, _STORE | _FIND | _RETRIEVE | _ECHO, errors=(errors.SOPClassNotSupported,)
    ),
    Answer(status.NO_SUCH_ACTION, _ACTION, errors=(errors.NoSuchAction,)),
    Answer(status.NOT_AUTHORISED, _EVERY, errors=(errors.NotAuthorised, errors.IdentityRefused)),
    Answer(status.UNRECOGNISED_OPERATION, _EVERY, errors=(errors.UnrecognisedOperation,)),
    Answer(status.MISTYPED_ARGUMENT, _READ, errors=(errors.InvalidArgument,)),
    Answer(
        status.RESOURCE_LIMITATION,
        _NORMALISED,
        errors=(errors.OutOfResources, errors.DataSetTooLarge, errors.IndexLocked, errors.IndexUnavailable),
    ),
    Answer(status.RESOURCE_LIMITATION, _CREATE, errors=(errors.NoPrintMemory,)),
    Answer(
        status.OUT_OF_RESOURCES,
        _STORE | _FIND | _RETRIEVE,
        errors=(errors.OutOfResources, errors.IndexLocked, errors.IndexUnavailable),
    ),
    Answer(status.CANNOT_COUNT_MATCHES, _RETRIEVE, errors=(errors.CannotCountMatches,)),
    Answer(status.CANNOT_PERFORM_SUBOPERATIONS, _RETRIEVE, "The end; every sub-operation failed."),
    Answer(status.MOVE_DESTINATION_UNKNOWN, _MOVE, errors=(errors.UnknownMoveDestination,)),
    Answer(status.DATA_SET_MISMATCH, _STORE, errors=(errors.DataSetMismatch, errors.TransferSyntaxNotSupported)),
    Answer(status.DATA_SET_MISMATCH, _FIND | _RETRIEVE, errors=(errors.IdentifierMismatch,)),
    # PS3.4 Y.4.1.1.4
    Answer(status.NO_SUCH_FRAMES, _RETRIEVE, errors=(errors.NoSuchFrames,)),
    Answer(status.CANNOT_CREATE_INSTANCE, _RETRIEVE, errors=(errors.NotMultiFrame,)),
    Answer(
        status.CANNOT_EXTRACT_FRAMES,
        _RETRIEVE,
        "The frames cannot be taken out of the object: a video, pixel data or attributes that contradict each other, "
        "or it cannot be read.",
        (errors.CannotTranscode, errors.TransferSyntaxNotSupported, errors.StoreFailure),
    ),
    Answer(status.NO_FRAME_TIMES, _RETRIEVE, errors=(errors.NoFrameTimes,)),
    Answer(status.INVALID_FRAME_REQUEST, _RETRIEVE, errors=(errors.InvalidFrameRequest,)),
    Answer(status.SUBOPERATIONS_WARNING, _RETRIEVE, "The end; some sub-operations failed or had a warning."),
    # PS3.4 tables CC.2.1-2, CC.2.2-2, CC.2.5-4
    Answer(
        status.WORKITEM_CREATED_WITH_MODIFICATIONS, _CREATE, "The work item was to be created as performed, and is not."
    ),
    Answer(status.WORKITEM_ALREADY_CANCELED, _ACTION, "The work item is cancelled already."),
    Answer(status.WORKITEM_ALREADY_COMPLETED, _ACTION, "The work item is completed already."),
    # Print management: see `printing.statuses` for which SOP class has which (PS3.4 H.4).
    Answer(
        status.MEMORY_ALLOCATION_NOT_SUPPORTED,
        _CREATE | _SET,
        "A film session asks for memory: films take what they need.",
    ),
    Answer(
        status.COLLATION_NOT_SUPPORTED, _ACTION, "So many copies of several films that those of each come together."
    ),
    Answer(status.EMPTY_FILM_SESSION_PAGE, _ACTION, "A film of the film session has no image; it is printed so."),
    Answer(status.EMPTY_FILM_BOX_PAGE, _ACTION, "The film has no image; it is printed so."),
    Answer(
        status.IMAGE_DEMAGNIFIED, _SET | _ACTION, "An image is larger than its image box, and is made smaller."
    ),
    Answer(
        status.DENSITY_OUTSIDE_RANGE, _CREATE | _SET, "A density is beyond those of the printer, whose own is used."
    ),
    Answer(status.IMAGE_CROPPED, _SET | _ACTION, "An image is larger than its image box, and is cropped."),
    Answer(status.IMAGE_DECIMATED, _SET | _ACTION, "An image is larger than its image box, and is decimated."),
    Answer(status.CANNOT_UNDERSTAND, _STORE | _FIND | _RETRIEVE, errors=(errors.CannotUnderstand,)),
    # PS3.4 tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1, CC.2.7-1
    Answer(status.WORKITEM_IS_FINAL, _SET | _ACTION, errors=(errors.WorkitemIsFinal,)),
    Answer(status.WRONG_TRANSACTION_UID, _SET | _ACTION, errors=(errors.WrongTransactionUID,)),
    Answer(status.WORKITEM_IN_PROGRESS, _ACTION, errors=(errors.WorkitemInProgress,)),
    Answer(status.CANNOT_BECOME_SCHEDULED, _ACTION, errors=(errors.CannotBecomeScheduled,)),
    Answer(status.FINAL_STATE_UNMET, _ACTION, errors=(errors.FinalStateUnmet,)),
    Answer(status.NO_SUCH_WORKITEM, _READ | _SET | _ACTION, errors=(errors.NoSuchWorkitem,)),
    Answer(status.UNKNOWN_RECEIVER, _ACTION, errors=(errors.UnknownReceiver,)),
    Answer(status.NOT_SCHEDULED, _CREATE, errors=(errors.NotScheduled,)),
    Answer(status.WORKITEM_NOT_IN_PROGRESS, _SET | _ACTION, errors=(errors.WorkitemNotInProgress,)),
    Answer(status.WORKITEM_IS_COMPLETED, _ACTION, errors=(errors.WorkitemIsCompleted,)),
    Answer(status.PERFORMER_UNREACHABLE, _ACTION, errors=(errors.PerformerUnreachable,)),
    Answer(status.PERFORMER_CONTINUES, _ACTION, errors=(errors.PerformerContinues,)),
    Answer(status.ACTION_NOT_APPROPRIATE, _ACTION, errors=(errors.ActionNotAppropriate,)),
    # PS3.4 H.4.1.2.4.2, H.4.2.2.4.2, H.4.3.1.2.1.2
    Answer(status.NO_FILM_BOX, _ACTION, errors=(errors.EmptyFilmSession,)),
    Answer(status.FILM_SESSION_QUEUE_FULL, _ACTION, errors=(errors.FilmSessionQueueFull,)),
    Answer(status.FILM_BOX_QUEUE_FULL, _ACTION, errors=(errors.PrintQueueFull,)),
    Answer(status.IMAGE_LARGER_THAN_BOX, _SET | _ACTION, errors=(errors.ImageTooLarge,)),
    Answer(status.INSUFFICIENT_PRINTER_MEMORY, _SET, errors=(errors.NoPrintMemory,)),
    Answer(status.CANCEL, _FIND | _RETRIEVE, "A C-CANCEL of the peer ended the operation."),
    Answer(status.PENDING, _FIND, "A match."),
    Answer(status.PENDING, _RETRIEVE, "The numbers of sub-operations so far."),
    Answer(
        status.PENDING_WARNING, _FIND, "A match; a key of the query is not supported, or its value cannot be told."
    ),
)
"""Every status that is answered, in ascending order."""


_CODES_OF_OTHERS = frozenset(answer.code for answer in ANSWERS if not answer.operations)
_CODES: dict[int, frozenset[int]] = {
    field: frozenset(answer.code for answer in ANSWERS if answer.is_for(field)) for field in CommandField
}


def operation_name(command_field: int) -> str:
    """Return an operation as the standard writes it, ``C-STORE``."""
    try:
        return CommandField(command_field).name.replace("_", "-")
    except ValueError:
        return f"operation {command_field:04X}"


def is_stated(code: int, command_field: int) -> bool:
    """Tell whether the table has a status for an operation."""
    return code in _CODES.get(command_field, _CODES_OF_OTHERS)


def answer_to(error: errors.MedserverError, command_field: int) -> Answer:
    """Return what an operation is answered with that ends with an error: the row of its closest class."""
    return next(
        answer
        for error_class in type(error).__mro__
        for answer in ANSWERS
        if error_class in answer.errors and answer.is_for(command_field)
    )
