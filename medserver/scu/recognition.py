"""Is this file an instance, and which? Answered from its first bytes, with or without file meta information."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from medserver.dicom.character_sets import decode_text
from medserver.dicom.elements import inflate_prefix, scan_elements
from medserver.dicom.part10 import META_SIZE_MAX_BYTES, PREAMBLE, FileMeta, read_file_meta
from medserver.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MEDIA_STORAGE_DIRECTORY,
    is_valid_uid,
    transfer_syntax,
    uid_problem,
)
from medserver.errors import NotPart10, TransferSyntaxNotSupported

HEAD_SIZE_BYTES = META_SIZE_MAX_BYTES
"""How much of a file is needed to recognise it."""

_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00080016, 0x00080018
_NOT_DICOM = "not a DICOM file"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What the first bytes of a DICOM file say.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        Of the data set, which counts, else of the file meta information. Empty where neither says it.
    data_set_offset : int
        Where the data set begins.
    problem : str
        Why it cannot be sent: a UID that no command can name, or none. Empty if it can.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    problem: str = ""


def recognise(head: bytes) -> Recognised:
    """Recognise a DICOM file.

    Parameters
    ----------
    head : bytes
        Its first `HEAD_SIZE_BYTES`, or all of it.

    Raises
    ------
    NotPart10
        It is no DICOM file, nor a data set with valid UIDs that was written without file meta information.
    """
    if head[128:132] == b"DICM":
        return _of_file(read_file_meta(BytesIO(head)), head)
    if head[:2] == b"\x02\x00":  # meta information without the preamble, as some old programs wrote it
        try:
            meta = read_file_meta(BytesIO(PREAMBLE + head))
        except NotPart10:
            raise NotPart10(_NOT_DICOM) from None
        return _plain(_of_file(meta, head, missing_bytes=len(PREAMBLE)))
    return _plain(_of_data_set(head))


def _plain(recognised: Recognised) -> Recognised:
    """Return what was recognised without the prefix that marks a DICOM file, if there can be no doubt."""
    if is_valid_uid(recognised.sop_class_uid) and is_valid_uid(recognised.sop_instance_uid):
        return recognised
    raise NotPart10(_NOT_DICOM)


def _of_file(meta: FileMeta, head: bytes, missing_bytes: int = 0) -> Recognised:
    """Return what meta information and data set say together: what is sent is the data set."""
    offset = meta.data_set_offset - missing_bytes
    if meta.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return Recognised(meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, offset)
    transfer_syntax_uid = meta.transfer_syntax_uid or _guessed_syntax(head[offset : offset + 8]) or ""
    sop_class_uid, sop_instance_uid = _uids(head[offset:], transfer_syntax_uid)
    sop_class_uid = sop_class_uid or meta.sop_class_uid
    sop_instance_uid = sop_instance_uid or meta.sop_instance_uid
    problem = (
        uid_problem("transfer syntax UID", transfer_syntax_uid)
        or uid_problem("SOP Class UID", sop_class_uid)
        or uid_problem("SOP Instance UID", sop_instance_uid)
    )
    return Recognised(sop_class_uid, sop_instance_uid, transfer_syntax_uid, offset, problem)


def _of_data_set(head: bytes) -> Recognised:
    """Return what a data set without meta information says."""
    transfer_syntax_uid = _guessed_syntax(head[:8])
    if transfer_syntax_uid is None:
        raise NotPart10(_NOT_DICOM)
    sop_class_uid, sop_instance_uid = _uids(head, transfer_syntax_uid)
    return Recognised(sop_class_uid, sop_instance_uid, transfer_syntax_uid, 0)


def _guessed_syntax(start: bytes) -> str | None:
    """Return the transfer syntax of a data set that begins with group 0008, None if it is none."""
    has_vr = start[4:6].isalpha() and start[4:6].isupper()
    if start[:2] == b"\x08\x00":
        return EXPLICIT_VR_LITTLE_ENDIAN if has_vr else IMPLICIT_VR_LITTLE_ENDIAN
    if start[:2] == b"\x00\x08" and has_vr:
        return EXPLICIT_VR_BIG_ENDIAN
    return None


def _uids(data_set: bytes, transfer_syntax_uid: str) -> tuple[str, str]:
    """Return SOP Class UID and SOP Instance UID of the beginning of a data set; empty where it does not say."""
    try:
        syntax = transfer_syntax(transfer_syntax_uid)
    except TransferSyntaxNotSupported:
        return "", ""
    if syntax.deflated:
        data_set = inflate_prefix(data_set, HEAD_SIZE_BYTES)
    values = scan_elements(data_set, syntax, frozenset({_SOP_CLASS_UID, _SOP_INSTANCE_UID})).values
    sop_class_uid, sop_instance_uid = (
        decode_text(values[tag][1], "UI", ()) if tag in values else ""
        for tag in (_SOP_CLASS_UID, _SOP_INSTANCE_UID)
    )
    return sop_class_uid, sop_instance_uid
