"""What goes into the index and what comes out of it, apart from answers to queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from medserver.dicom.part10 import Original

GOOD, BAD = "good", "bad"
"""What can be known of a copy: it is what was stored as far as anybody has looked, or it is not and is never read
again until it is repaired."""

ENTERED, KNOWN, UNNEEDED = "entered", "known", "unneeded"
"""What can become of a file that is added, see `Added`."""

OUTCOMES = ("stored", "same", "kept", "replaced", "rejected")
"""What can become of an object that is added, see `Added`."""


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object: the same SOP Instance with other bytes is another one.

    Parameters
    ----------
    sop_instance_uid, digest, transfer_syntax_uid : str
        Which.
    """

    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str


def key_of_original(sop_instance_uid: str, original: Original) -> ObjectKey:
    """Return which object it is that something was made from."""
    return ObjectKey(sop_instance_uid, original.digest, original.transfer_syntax_uid)


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One object that lies in a volume and is to be found through the index.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        What the object is, and how its data set is encoded.
    values : Mapping of str to (str or None)
        Column name of `medserver.dicom.attributes` -> decoded value, several values joined by
        backslashes, sequences as the text of a DICOM JSON array of items. A column that is left out, None
        and the empty text mean the same: no value.
    received_at : datetime
        When the object was received, with a time zone.
    calling_ae_title : str or None
        Who sent it; None if nobody knows.
    volume, path : str
        Where it lies.
    data_set_offset : int
        Where in the file the data set begins [bytes].
    size_bytes : int
        The length of the data set.
    digest : str
        SHA-256 of the data set, in hexadecimal digits.
    meta_digest : str
        SHA-256 of everything before the data set.
    duplicates : str
        ``keep``, ``replace`` or ``reject``: what to do if the SOP Instance is there with other content.
    original : Original or None
        What it was made from here: it takes the place of that, and of nothing else.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    values: Mapping[str, str | None]
    received_at: datetime
    calling_ae_title: str | None
    volume: str
    path: str
    data_set_offset: int
    size_bytes: int
    digest: str
    meta_digest: str
    duplicates: str = "keep"
    original: Original | None = None

    @property
    def key(self) -> ObjectKey:
        """Which object it is."""
        return ObjectKey(self.sop_instance_uid, self.digest, self.transfer_syntax_uid)

    @property
    def original_key(self) -> ObjectKey | None:
        """What it was made from here, None if it was received."""
        return key_of_original(self.sop_instance_uid, self.original) if self.original else None


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an object that was added.

    Parameters
    ----------
    outcome : str
        ``stored``: it is an instance of the archive now. ``same``: the archive had it already, bit by bit, itself or
        in the form that was made from it. ``kept``: another object has its SOP Instance UID and stays the current one,
        both are kept. ``replaced``: it is the current object now, and the one that was is kept. ``rejected``: another
        object has its SOP Instance UID, nothing was changed. ``deleted``: it was deleted on purpose after it was
        received, nothing was changed.
    conflicts : tuple of str
        The kinds of the conflicts that it revealed and that were not known before, see `conflicts`.
    file : str
        What became of the very file: it is `ENTERED` now, was `KNOWN` before, or nobody needs it: `UNNEEDED`.
    bad : tuple of tuple (str, str)
        Volumes and paths of bad copies of the object: the file can take their place, or be copied there. Also of what
        was made from it: that may be lost, and need not be kept then.
    forms : tuple of ObjectKey
        What had been made from the object, and is not good on the volume: the object is stored again until it is.
    """

    outcome: str
    conflicts: tuple[str, ...] = ()
    file: str = ENTERED
    bad: tuple[tuple[str, str], ...] = ()
    forms: tuple[ObjectKey, ...] = ()

    @property
    def file_needed(self) -> bool:
        """Whether the index refers to the very file that was added."""
        return self.file != UNNEEDED


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One file that the index knows, and the object that it holds.

    Parameters
    ----------
    volume, path, data_set_offset, meta_digest
        As in `InstanceRecord`.
    state : str
        `GOOD` or `BAD`.
    verified_at : datetime or None
        When this copy was last read and compared with its digests; None if never since it was written.
    sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size_bytes, received_at, calling_ae_title
        Of the object, as in `InstanceRecord`.
    is_current : bool
        Whether the object is the one that is found and retrieved under its SOP Instance UID.
    receipts : int
        How often the object was received.
    study_instance_uid : str
        Of the instance.
    """

    volume: str
    path: str
    data_set_offset: int
    meta_digest: str
    state: str
    verified_at: datetime | None
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    received_at: datetime
    calling_ae_title: str | None
    is_current: bool
    receipts: int
    study_instance_uid: str

    @property
    def file_size_bytes(self) -> int:
        """The length of its file: of what stands before the data set, and of that."""
        return self.data_set_offset + self.size_bytes

    @property
    def key(self) -> ObjectKey:
        """Which object it is a copy of."""
        return ObjectKey(self.sop_instance_uid, self.digest, self.transfer_syntax_uid)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the index holds."""

    patients: int
    studies: int
    series: int
    instances: int
    duplicates: int
    locations: int
    conflicts: int
    size_bytes: int
