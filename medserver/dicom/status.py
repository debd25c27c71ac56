"""DIMSE status codes: their names, what kind each is, and their meaning in words.

The general codes are those of PS3.7 C; the others belong to the Storage (PS3.4 B.2.3) and Query/Retrieve
services (PS3.4 C.4, Y.4) or to that of work items (PS3.4 CC), and 0131 to the Failure Reason of Storage Commitment
(PS3.3 C.14.1.1).
Which error is answered with which code is in `services.responses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SUCCESS = 0x0000

NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE = 0x0111
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT_VALUE = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_OBJECT_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
DUPLICATE_TRANSACTION_UID = 0x0131
DUPLICATE_INVOCATION = 0x0210
UNRECOGNISED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213

NO_LONGER_UPDATABLE = 0xA710
"""The Error ID, beside PROCESSING_FAILURE, of an N-SET of a final performed procedure step (PS3.4 F.7.2.2.4)."""

OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001

WORKITEM_CREATED_WITH_MODIFICATIONS = 0xB300
DELETION_LOCK_NOT_GRANTED = 0xB301
WORKITEM_ALREADY_CANCELED = 0xB304
WORKITEM_VALUES_COERCED = 0xB305
WORKITEM_ALREADY_COMPLETED = 0xB306
WORKITEM_IS_FINAL = 0xC300
WRONG_TRANSACTION_UID = 0xC301
WORKITEM_IN_PROGRESS = 0xC302
CANNOT_BECOME_SCHEDULED = 0xC303
FINAL_STATE_UNMET = 0xC304
NO_SUCH_WORKITEM = 0xC307
UNKNOWN_RECEIVER = 0xC308
NOT_SCHEDULED = 0xC309
WORKITEM_NOT_IN_PROGRESS = 0xC310
WORKITEM_IS_COMPLETED = 0xC311
PERFORMER_UNREACHABLE = 0xC312
PERFORMER_CONTINUES = 0xC313
ACTION_NOT_APPROPRIATE = 0xC314
"""Those of the Unified Procedure Step service (PS3.4 tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1)."""

MEMORY_ALLOCATION_NOT_SUPPORTED = 0xB600
COLLATION_NOT_SUPPORTED = 0xB601
EMPTY_FILM_SESSION_PAGE = 0xB602
EMPTY_FILM_BOX_PAGE = 0xB603
IMAGE_DEMAGNIFIED = 0xB604
DENSITY_OUTSIDE_RANGE = 0xB605
IMAGE_CROPPED = 0xB609
IMAGE_DECIMATED = 0xB60A
NO_FILM_BOX = 0xC600
FILM_SESSION_QUEUE_FULL = 0xC601
FILM_BOX_QUEUE_FULL = 0xC602
IMAGE_LARGER_THAN_BOX = 0xC603
INSUFFICIENT_PRINTER_MEMORY = 0xC605
"""Those of the Print Management service (PS3.4 H.4.1.2, H.4.2.2, H.4.3.1.2)."""

OUT_OF_RESOURCES = 0xA700
CANNOT_COUNT_MATCHES = 0xA701
CANNOT_PERFORM_SUBOPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
DATA_SET_MISMATCH = 0xA900
NO_SUCH_FRAMES = 0xAA00
CANNOT_CREATE_INSTANCE = 0xAA01
CANNOT_EXTRACT_FRAMES = 0xAA02
NO_FRAME_TIMES = 0xAA03
INVALID_FRAME_REQUEST = 0xAA04
CANNOT_UNDERSTAND = 0xC000

COERCION_OF_DATA_ELEMENTS = 0xB000
SUBOPERATIONS_WARNING = 0xB000
ELEMENTS_DISCARDED = 0xB006
DATA_SET_MISMATCH_WARNING = 0xB007

CANCEL = 0xFE00
PENDING = 0xFF00
PENDING_WARNING = 0xFF01

_WARNINGS_BELOW_A000 = frozenset({
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE,
})  # fmt: skip

_MEANINGS: Mapping[int, str] = MappingProxyType({
    SUCCESS: "success",
    OPTIONAL_ATTRIBUTES_NOT_SUPPORTED: "requested optional attributes are not supported",
    NO_SUCH_ATTRIBUTE: "no such attribute",
    INVALID_ATTRIBUTE_VALUE: "invalid attribute value",
    ATTRIBUTE_LIST_ERROR: "attribute list error",
    PROCESSING_FAILURE: "processing failure",
    DUPLICATE: "duplicate SOP instance",
    NO_SUCH_INSTANCE: "no such SOP instance",
    NO_SUCH_EVENT_TYPE: "no such event type",
    NO_SUCH_ARGUMENT: "no such argument",
    INVALID_ARGUMENT_VALUE: "invalid argument value",
    ATTRIBUTE_VALUE_OUT_OF_RANGE: "attribute value out of range",
    INVALID_OBJECT_INSTANCE: "invalid SOP instance UID",
    NO_SUCH_SOP_CLASS: "no such SOP class",
    CLASS_INSTANCE_CONFLICT: "the SOP instance is not of this SOP class",
    MISSING_ATTRIBUTE: "missing attribute",
    MISSING_ATTRIBUTE_VALUE: "missing attribute value",
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    NO_SUCH_ACTION: "no such action",
    NOT_AUTHORISED: "not authorised",
    DUPLICATE_TRANSACTION_UID: "duplicate transaction UID",
    DUPLICATE_INVOCATION: "duplicate invocation",
    UNRECOGNISED_OPERATION: "unrecognised operation",
    MISTYPED_ARGUMENT: "mistyped argument",
    RESOURCE_LIMITATION: "resource limitation",
    CANNOT_COUNT_MATCHES: "out of resources: the number of matches cannot be calculated",
    CANNOT_PERFORM_SUBOPERATIONS: "out of resources: sub-operations cannot be performed",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    NO_SUCH_FRAMES: "none of the frames requested were found in the SOP instance",
    CANNOT_CREATE_INSTANCE: "unable to create new object for this SOP class",
    CANNOT_EXTRACT_FRAMES: "unable to extract frames",
    NO_FRAME_TIMES: "time-based request for a SOP instance that is not time-based",
    INVALID_FRAME_REQUEST: "invalid request for frames",
    0xB000: "coercion of data elements, or sub-operations with failures or warnings",
    ELEMENTS_DISCARDED: "elements discarded",
    DATA_SET_MISMATCH_WARNING: "the data set does not match the SOP class, but is stored",
    WORKITEM_CREATED_WITH_MODIFICATIONS: "the work item was created with modifications",
    DELETION_LOCK_NOT_GRANTED: "deletion lock not granted",
    WORKITEM_ALREADY_CANCELED: "the work item is cancelled already",
    WORKITEM_VALUES_COERCED: "invalid values were coerced to valid ones",
    WORKITEM_ALREADY_COMPLETED: "the work item is completed already",
    WORKITEM_IS_FINAL: "the work item may no longer be updated",
    WRONG_TRANSACTION_UID: "the correct Transaction UID was not provided",
    WORKITEM_IN_PROGRESS: "the work item is in progress already",
    CANNOT_BECOME_SCHEDULED: "a work item becomes SCHEDULED only when it is created",
    FINAL_STATE_UNMET: "the work item does not meet the requirements of its final state",
    NO_SUCH_WORKITEM: "no such work item",
    UNKNOWN_RECEIVER: "the receiving AE is not known",
    NOT_SCHEDULED: "the state of a new work item was not SCHEDULED",
    WORKITEM_NOT_IN_PROGRESS: "the work item is not in progress",
    WORKITEM_IS_COMPLETED: "the work item is completed already",
    PERFORMER_UNREACHABLE: "the performer cannot be contacted",
    PERFORMER_CONTINUES: "the performer chooses not to cancel",
    ACTION_NOT_APPROPRIATE: "the action is not appropriate for the instance",
    MEMORY_ALLOCATION_NOT_SUPPORTED: "memory allocation is not supported",
    COLLATION_NOT_SUPPORTED: "the copies of the film session are not collated",
    EMPTY_FILM_SESSION_PAGE: "a film of the film session has no image",
    EMPTY_FILM_BOX_PAGE: "the film has no image",
    IMAGE_DEMAGNIFIED: "the image is larger than its image box, and was made smaller",
    DENSITY_OUTSIDE_RANGE: "the printer does not reach the density",
    IMAGE_CROPPED: "the image is larger than its image box, and was cropped",
    IMAGE_DECIMATED: "the image is larger than its image box, and was decimated",
    NO_FILM_BOX: "the film session has no film box",
    FILM_SESSION_QUEUE_FULL: "the print queue is full",
    FILM_BOX_QUEUE_FULL: "the print queue is full",
    IMAGE_LARGER_THAN_BOX: "the image is larger than its image box",
    INSUFFICIENT_PRINTER_MEMORY: "the printer has no memory for the image",
    CANCEL: "cancelled",
    PENDING: "pending",
    PENDING_WARNING: "pending, optional keys are not supported",
})

_MEANINGS_OF_RANGES = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA900, 0xA9FF, "the data set does not match the SOP class"),
    (0xA000, 0xAFFF, "refused"),
    (0xB000, 0xBFFF, "warning"),
    (0xC000, 0xCFFF, "cannot understand or process"),
)
"""First code, last code, and what the codes between mean that have no meaning of their own."""


def category(code: int) -> str:
    """Return the kind of a status: ``success``, ``pending``, ``warning``, ``cancel`` or ``failure``.

    A code that PS3.7 does not define is a failure: nobody may take it for a success.

    References
    ----------
    PS3.7 C.1
    """
    if code == SUCCESS:
        return "success"
    if code in (PENDING, PENDING_WARNING):
        return "pending"
    if code == CANCEL:
        return "cancel"
    if 0xB000 <= code <= 0xBFFF or code in _WARNINGS_BELOW_A000:
        return "warning"
    return "failure"


def is_pending(code: int) -> bool:
    """Tell whether more responses to the same request follow."""
    return category(code) == "pending"


def is_performed(code: int) -> bool:
    """Tell whether the operation was performed, perhaps not quite as asked.

    One that is pending, or was cancelled, was not: where neither is an answer to the operation, as to a C-STORE, a
    remote AE that says so has broken the standard, and has not said that it has done anything.
    """
    return category(code) in ("success", "warning")


def is_warning(code: int) -> bool:
    """Tell whether the operation was performed, but not quite as asked."""
    return category(code) == "warning"


def is_failure(code: int) -> bool:
    """Tell whether the operation was not performed. A cancelled one did not fail."""
    return category(code) == "failure"


def describe(code: int, comment: str = "") -> str:
    """Return a status in words for people, with its code: ``0xA702 out of resources: ...``; and the Error Comment."""
    meaning = _MEANINGS.get(code)
    if meaning is None:
        ranges = (text for first, last, text in _MEANINGS_OF_RANGES if first <= code <= last)
        meaning = next(ranges, "a status that DICOM does not define")
    return f"0x{code:04X} {meaning}" + (f": {comment}" if comment else "")
