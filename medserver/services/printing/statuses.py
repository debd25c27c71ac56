"""Which status each operation of print management is answered with, and when: one table.

The SCP answers with nothing else, the tests provoke every row, and the conformance statement prints them.

References
----------
PS3.4 H.4, PS3.7 10.1, PS3.2 N.7.3.2.8
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medserver.dicom import print_classes as classes
from medserver.dicom import status
from medserver.printing.remarks import Remark
from medserver.wire.command_set import CommandField

CREATE, SET, DELETE = CommandField.N_CREATE, CommandField.N_SET, CommandField.N_DELETE
ACTION, GET = CommandField.N_ACTION, CommandField.N_GET


@dataclass(frozen=True, slots=True)
class PrintStatus:
    """One status of one operation.

    Parameters
    ----------
    sop_class_uid : str
        The SOP class that the command names.
    operation : CommandField
        The operation.
    code : int
        The status.
    condition : str
        When.
    """

    sop_class_uid: str
    operation: CommandField
    code: int
    condition: str


OPERATIONS: Mapping[str, tuple[CommandField, ...]] = {
    classes.FILM_SESSION: (CREATE, SET, DELETE, ACTION),
    classes.FILM_BOX: (CREATE, SET, DELETE, ACTION),
    classes.GRAYSCALE_IMAGE_BOX: (SET,),
    classes.COLOR_IMAGE_BOX: (SET,),
    classes.ANNOTATION_BOX: (SET,),
    classes.PRESENTATION_LUT: (CREATE, DELETE),
    classes.PRINTER: (GET,),
    classes.PRINTER_CONFIGURATION: (GET,),
    classes.PRINT_JOB: (GET,),
}
"""SOP class -> its operations."""

_EVERY: tuple[tuple[tuple[CommandField, ...], int, str], ...] = (
    ((CREATE, SET, DELETE, ACTION, GET), status.SUCCESS, "The operation was performed."),
    ((CREATE, SET), status.ATTRIBUTE_LIST_ERROR,
     "An attribute is not known, or not one that an N-SET changes; it is left out, the others are taken."),
    ((GET,), status.ATTRIBUTE_LIST_ERROR, "An attribute that is asked for is not there; the others are told."),
    ((CREATE, SET), status.PROCESSING_FAILURE, "The data set cannot be read."),
    ((CREATE,), status.DUPLICATE, "There is an instance of this UID on the association."),
    ((SET, DELETE, ACTION, GET), status.NO_SUCH_INSTANCE, "There is no instance of this UID that it can be done to."),
    ((CREATE, SET, DELETE, ACTION, GET), status.INVALID_OBJECT_INSTANCE, "The SOP Instance UID is not a valid UID."),
    ((SET, DELETE, ACTION), status.CLASS_INSTANCE_CONFLICT, "The instance of this UID is of another SOP class."),
    ((ACTION,), status.NO_SUCH_ACTION, "The Action Type ID is not 1."),
    ((CREATE, SET, DELETE, ACTION, GET), status.NOT_AUTHORISED, "The printer is not for the calling AE."),
    ((GET,), status.MISTYPED_ARGUMENT, "The Attribute Identifier List is not a list of tags."),
    ((CREATE, SET), status.RESOURCE_LIMITATION,
     "The data set is too large, or more instances, tables or ICC Profiles are asked for than an association has."),
)  # fmt: skip
"""Operations -> a status that each of them has with every SOP class that has the operation."""

_VALUES = "An attribute has a value that is not printed here, or refers to what there is not."

_OWN: tuple[tuple[tuple[str, ...], CommandField, int, str], ...] = (
    ((classes.FILM_SESSION,), CREATE, status.INVALID_ATTRIBUTE_VALUE, _VALUES),
    ((classes.FILM_SESSION,), SET, status.INVALID_ATTRIBUTE_VALUE, _VALUES),
    ((classes.FILM_SESSION,), CREATE, status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
     "More copies than the printer makes; as many as it makes are taken."),
    ((classes.FILM_SESSION,), SET, status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
     "More copies than the printer makes; as many as it makes are taken."),
    ((classes.FILM_SESSION,), CREATE, status.MEMORY_ALLOCATION_NOT_SUPPORTED,
     "Memory is asked for: films take what they need."),
    ((classes.FILM_SESSION,), SET, status.MEMORY_ALLOCATION_NOT_SUPPORTED,
     "Memory is asked for: films take what they need."),
    ((classes.FILM_SESSION,), ACTION, status.COLLATION_NOT_SUPPORTED,
     "So many copies that they are not collated: those of each film come together."),
    ((classes.FILM_SESSION,), ACTION, status.EMPTY_FILM_SESSION_PAGE, "A film has no image; it is printed so."),
    ((classes.FILM_SESSION,), ACTION, status.NO_FILM_BOX, "The film session has no film box."),
    ((classes.FILM_SESSION,), ACTION, status.FILM_SESSION_QUEUE_FULL,
     "Too many films wait for the printer, or there is no space for the images; none of the session is printed."),
    ((classes.FILM_BOX,), CREATE, status.INVALID_ATTRIBUTE_VALUE,
     _VALUES + " So are an Image Display Format and a Film Size ID that the printer does not have."),
    ((classes.FILM_BOX,), SET, status.INVALID_ATTRIBUTE_VALUE, _VALUES),
    ((classes.FILM_BOX,), CREATE, status.MISSING_ATTRIBUTE, "Image Display Format or the film session is missing."),
    ((classes.FILM_BOX,), CREATE, status.MISSING_ATTRIBUTE_VALUE,
     "Image Display Format or the film session has no value."),
    ((classes.FILM_BOX,), CREATE, status.DENSITY_OUTSIDE_RANGE,
     "A density is beyond those of the printer, whose own is used."),
    ((classes.FILM_BOX,), SET, status.DENSITY_OUTSIDE_RANGE,
     "A density is beyond those of the printer, whose own is used."),
    ((classes.FILM_BOX,), ACTION, status.EMPTY_FILM_BOX_PAGE, "The film has no image; it is printed so."),
    ((classes.FILM_BOX,), ACTION, status.FILM_BOX_QUEUE_FULL,
     "Too many films wait for the printer, or there is no space for the images."),
    *(
        ((classes.FILM_SESSION, classes.FILM_BOX), ACTION, code, condition)
        for code, condition in (
            (status.IMAGE_DEMAGNIFIED, "An image is larger than its box, and is made smaller."),
            (status.IMAGE_CROPPED, "An image is larger than its box, and is cropped (CROP)."),
            (status.IMAGE_DECIMATED, "An image is larger than its box, and is decimated (DECIMATE)."),
            (status.IMAGE_LARGER_THAN_BOX,
             "An image has become larger than its box since, by what the film box was set to."),
        )
    ),
    *(
        ((classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX), SET, code, condition)
        for code, condition in (
            (status.INVALID_ATTRIBUTE_VALUE,
             _VALUES + " So are pixels of another kind, and Pixel Data of another length than Rows and Columns say."),
            (status.MISSING_ATTRIBUTE_VALUE, "An attribute of the image, or its Pixel Data, is missing."),
            (status.IMAGE_DEMAGNIFIED, "The image is larger than its box, and is made smaller."),
            (status.DENSITY_OUTSIDE_RANGE, "A density is beyond those of the printer, whose own is used."),
            (status.IMAGE_CROPPED, "The image is larger than its box, and is cropped (CROP)."),
            (status.IMAGE_DECIMATED, "The image is larger than its box, and is decimated (DECIMATE)."),
            (status.IMAGE_LARGER_THAN_BOX,
             "The image is larger than its box with FAIL, or is not magnified (NONE) and not cropped; or it has too "
             "many pixels for any box."),
            (status.INSUFFICIENT_PRINTER_MEMORY, "There is no room for the image."),
        )
    ),
    ((classes.ANNOTATION_BOX,), SET, status.INVALID_ATTRIBUTE_VALUE, _VALUES),
    ((classes.PRESENTATION_LUT,), CREATE, status.INVALID_ATTRIBUTE_VALUE,
     "The shape is not IDENTITY or LIN OD, there are a shape and a table, or the table cannot be."),
    ((classes.PRESENTATION_LUT,), CREATE, status.MISSING_ATTRIBUTE, "There is neither a shape nor a table."),
    ((classes.PRESENTATION_LUT,), CREATE, status.MISSING_ATTRIBUTE_VALUE, "The shape or the table is empty."),
)  # fmt: skip


def _table() -> tuple[PrintStatus, ...]:
    rows = [
        PrintStatus(sop_class_uid, operation, code, condition)
        for sop_class_uid, operations in OPERATIONS.items()
        for operation in operations
        for of_operations, code, condition in _EVERY
        if operation in of_operations
    ]
    rows += [PrintStatus(uid, operation, code, condition) for uids, operation, code, condition in _OWN for uid in uids]
    order = list(OPERATIONS)
    return tuple(sorted(rows, key=lambda row: (order.index(row.sop_class_uid), row.operation, row.code)))


STATUSES = _table()
"""Every status, by SOP class, operation and code."""

_STATED = frozenset((row.sop_class_uid, row.operation, row.code) for row in STATUSES)

_REMARKS: Mapping[Remark, int] = {
    Remark.OUT_OF_RANGE: status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
    Remark.NO_MEMORY_ALLOCATED: status.MEMORY_ALLOCATION_NOT_SUPPORTED,
    Remark.NOT_COLLATED: status.COLLATION_NOT_SUPPORTED,
    Remark.CROPPED: status.IMAGE_CROPPED,
    Remark.DECIMATED: status.IMAGE_DECIMATED,
    Remark.DEMAGNIFIED: status.IMAGE_DEMAGNIFIED,
    Remark.DENSITY_CLIPPED: status.DENSITY_OUTSIDE_RANGE,
}

_EMPTY = {
    classes.FILM_SESSION: status.EMPTY_FILM_SESSION_PAGE,
    classes.FILM_BOX: status.EMPTY_FILM_BOX_PAGE,
}


def code_of(remark: Remark, sop_class_uid: str) -> int:
    """Return the status that tells a remark about an instance of a SOP class."""
    return _EMPTY[sop_class_uid] if remark is Remark.EMPTY_FILM else _REMARKS[remark]


def is_stated(sop_class_uid: str, operation: int, code: int) -> bool:
    """Tell whether the table has a status."""
    return (sop_class_uid, operation, code) in _STATED
