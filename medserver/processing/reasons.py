"""Why a work item is discontinued: from an exception class to the code of its reason (PS3.4 CC.2.5-3)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medserver import errors
from medserver.dicom.contributing_equipment import CODING_SCHEME
from medserver.processing.codes import Code

REASONS: Mapping[type[errors.CannotProcess], Code] = MappingProxyType(
    {
        errors.CannotProcess: Code("110513", "DCM", "Discontinued for unspecified reason"),
        errors.UnknownProcessingType: Code("UNKNOWN_TYPE", CODING_SCHEME, "Unknown type of processing"),
        errors.UnusableParameters: Code("BAD_PARAMETERS", CODING_SCHEME, "Unusable processing parameters"),
        errors.IncompleteObjectSet: Code("110523", "DCM", "Object Set incomplete"),
        errors.MixedObjectSet: Code("MIXED_OBJECTS", CODING_SCHEME, "Objects do not belong together"),
        errors.ObjectTypeNotSupported: Code("110522", "DCM", "Object Types not supported"),
        errors.ObjectNotReadable: Code("110521", "DCM", "Objects incorrectly formatted"),
        errors.CommandFailed: Code("COMMAND_FAILED", CODING_SCHEME, "External program failed"),
        errors.IrregularStack: Code("IRREGULAR_STACK", CODING_SCHEME, "Slices are no regular stack"),
        errors.TooLargeToProcess: Code("110527", "DCM", "Resource inadequate"),
        errors.ProcessingBroke: Code("110501", "DCM", "Equipment failure"),
    }
)
"""PS3.16 CID 9300 where it has one; the context group is extensible."""


def reason_for(error: Exception) -> Code:
    """Return the reason that is given for an exception: that of its nearest class with a row."""
    return next((REASONS[kind] for kind in type(error).__mro__ if kind in REASONS), REASONS[errors.CannotProcess])


def error_for(code: str, scheme: str) -> type[errors.CannotProcess]:
    """Return the class of the exceptions for which a reason is given: the general one, if it is none of ours."""
    found = (kind for kind, one in REASONS.items() if (one.value, one.scheme) == (code, scheme))
    return next(found, errors.CannotProcess)
