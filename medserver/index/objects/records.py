"""What goes into the index and what comes out of it, apart from answers to queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from medserver.dicom.part10 import Original

GOOD, BAD = "good", "bad"
"""What can be known of a copy: it is what was stored as far as anybody has looked, or it is not and is never read
again until it is repaired."""

OUTCOMES = ("stored", "same", "aside", "replaced", "rejected")
"""What can become of an object that is added, see `Added`."""


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
        What it was before it was compressed here: it takes the place of that, and of nothing else.
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


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an object that was added.

    Parameters
    ----------
    outcome : str
        ``stored``: it is an instance of the archive now. ``same``: the archive had it already, bit by
        bit. ``aside``: another object has its SOP Instance UID, both are kept. ``replaced``: it took the
        place of another object, which was put aside. ``rejected``: another object has its SOP Instance
        UID, nothing was changed. An object that the archive has and that lies on a further volume is
        ``same`` as well: the index knows the copy from then on.
    conflicts : tuple of str
        The kinds of the conflicts that it revealed and that were not known before, see `conflicts`.
    file_needed : bool
        Whether the index refers to the very file that was added. If not, the file may be deleted.
    """

    outcome: str
    conflicts: tuple[str, ...] = ()
    file_needed: bool = True


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance of the archive and where to read it: its preferred copy.

    The parameters are those of `InstanceRecord`, with the Study Instance UID.

    Parameters
    ----------
    state : str
        `GOOD`; `BAD` if there is no good copy.
    verified_at : datetime or None
        When this copy was last read and compared with its digests; None if never since it was written.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    volume: str
    path: str
    data_set_offset: int
    size_bytes: int
    digest: str
    meta_digest: str
    study_instance_uid: str
    state: str = GOOD
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredLocation:
    """One file that the index knows.

    Parameters
    ----------
    role : str
        ``instance``, or ``duplicate`` if the object was put aside.
    state : str
        `GOOD` or `BAD`.
    verified_at : datetime or None
        When this copy was last read and compared with its digests; None if never since it was written.
    others
        As in `InstanceRecord`.
    """

    volume: str
    path: str
    role: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size_bytes: int
    digest: str
    meta_digest: str
    state: str = GOOD
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An object that has the SOP Instance UID of another one and was put aside.

    Parameters
    ----------
    reason : str
        ``aside``: it came second. ``replaced``: it came first, and the second one took its place.
    state, verified_at
        As in `StoredLocation`.
    others
        As in `InstanceRecord`.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    reason: str
    volume: str
    path: str
    data_set_offset: int
    size_bytes: int
    digest: str
    meta_digest: str
    received_at: datetime
    calling_ae_title: str | None
    state: str = GOOD
    verified_at: datetime | None = None


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
