"""Unique identifiers: their form, new ones, and our own.

The UIDs that the standard defines are in `sop_classes` and `transfer_syntaxes`; they can be read from here.
"""

from __future__ import annotations

import re
import uuid
from functools import lru_cache

from medserver.dicom.sop_classes import (
    COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET,
    COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET,
    COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE,
    CURRENT_STORAGE_SOP_CLASSES,
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MEDIA_STORAGE_DIRECTORY,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    PERFORMED_PROCEDURE_PROTOCOLS,
    RETIRED_STORAGE_SOP_CLASSES,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    STORAGE_SOP_CLASSES,
    STORAGE_SOP_CLASSES_WITHOUT_PIXELS,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNIFIED_PROCEDURE_STEP_EVENT,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
    UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE,
    UPS_GLOBAL_SUBSCRIPTION_INSTANCE,
    VERIFICATION,
    VIDEO_SOP_CLASSES,
)
from medserver.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
    TransferSyntax,
    transfer_syntax,
)

__all__ = [
    "COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET",
    "COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET",
    "COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE",
    "CURRENT_STORAGE_SOP_CLASSES",
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "INSTANCE_AVAILABILITY_NOTIFICATION",
    "MEDIA_STORAGE_DIRECTORY",
    "MODALITY_PERFORMED_PROCEDURE_STEP",
    "MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE",
    "PATIENT_ROOT_FIND",
    "PATIENT_ROOT_GET",
    "PATIENT_ROOT_MOVE",
    "PATIENT_STUDY_ONLY_FIND",
    "PATIENT_STUDY_ONLY_GET",
    "PATIENT_STUDY_ONLY_MOVE",
    "PERFORMED_PROCEDURE_PROTOCOLS",
    "PRIVATE_INFORMATION_CREATOR_UID",
    "RETIRED_STORAGE_SOP_CLASSES",
    "STORAGE_COMMITMENT_PUSH_MODEL",
    "STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE",
    "STORAGE_SOP_CLASSES",
    "STORAGE_SOP_CLASSES_WITHOUT_PIXELS",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "STUDY_ROOT_MOVE",
    "TRANSFER_SYNTAXES",
    "UNIFIED_PROCEDURE_STEP_EVENT",
    "UNIFIED_PROCEDURE_STEP_PULL",
    "UNIFIED_PROCEDURE_STEP_PUSH",
    "UNIFIED_PROCEDURE_STEP_QUERY",
    "UNIFIED_PROCEDURE_STEP_WATCH",
    "UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE",
    "UPS_GLOBAL_SUBSCRIPTION_INSTANCE",
    "VERIFICATION",
    "VIDEO_SOP_CLASSES",
    "TransferSyntax",
    "is_private_uid",
    "is_valid_uid",
    "new_uid",
    "transfer_syntax",
    "uid_problem",
]

UID_LENGTH_MAX = 64

IMPLEMENTATION_CLASS_UID = "2.25.189021070369635788615692400243730689513"
"""Identifies this implementation to its peers (PS3.7 D.3.3.2) and in the files that it writes."""

IMPLEMENTATION_VERSION_NAME = "MEDSERVER_0_1"
"""The version in at most 16 characters (PS3.7 D.3.3.2.3)."""

PRIVATE_INFORMATION_CREATOR_UID = "2.25.276675797258182011351876566162018499212"
"""Marks the Private Information of a file's meta information as ours (PS3.10 7.1)."""

_ROOT_OF_THE_STANDARD = "1.2.840.10008."
_UID = re.compile(r"\.*[0-9][0-9.]*")


def is_valid_uid(text: str) -> bool:
    """Tell whether a text is taken for a UID: digits and points, at most 64 characters (PS3.5 9.1).

    That components are there and have no leading zeros is not asked for: devices make such UIDs, and what has one can
    be kept, found and sent. It has a digit, so that it is no name of a folder. Padding is not part of it: take it off
    before.
    """
    return len(text) <= UID_LENGTH_MAX and _UID.fullmatch(text) is not None


def is_private_uid(text: str) -> bool:
    """Tell whether a text is a UID that the standard does not define (PS3.5 9.2, PS3.6 A)."""
    return is_valid_uid(text) and not text.startswith(_ROOT_OF_THE_STANDARD)


@lru_cache(maxsize=256)  # one reception asks up to five times, and the next about the same class, study and series
def uid_problem(name: str, text: str) -> str:
    """Say why a text is not taken for a UID, for instance for the name ``SOP Instance UID``; empty if it is."""
    if is_valid_uid(text):
        return ""
    if not text:
        return f"there is no {name}"
    if len(text) > UID_LENGTH_MAX:
        return f"the {name} has {len(text)} characters, more than {UID_LENGTH_MAX}"
    return f"the {name} is not made of digits and points"


_NAMESPACE = uuid.UUID("0b9f2f8c-6a55-4c8e-9d0e-3c1f5a7be002")


def new_uid() -> str:
    """Return a UID that no one else has, derived from a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def uid_of(*what: str) -> str:
    """Return the UID of what a description names, the same each time: a name-based UUID (PS3.5 B.2)."""
    return name_based_uid(_NAMESPACE, chr(0).join(what))


def name_based_uid(namespace: uuid.UUID, name: str) -> str:
    """Return the UID that is derived from the UUID of a name in a namespace (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(namespace, name).int}"
