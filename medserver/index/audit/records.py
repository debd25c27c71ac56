"""The audit trail as it comes out of the index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from medserver.audit.rows import AuditRow


class Transfer(NamedTuple):
    """What is counted of an instance that has come over an association, in the transaction that enters it.

    Parameters
    ----------
    association : str
        The process and the association, see `medserver.trail.associations`.
    parties : str
        Source, destination and requestor, as JSON.
    """

    association: str
    parties: str


class Counted(NamedTuple):
    """An instance that has come over an association, as it is counted.

    Parameters
    ----------
    transfer : Transfer
        The association.
    study_instance_uid, sop_class_uid, patient_id, patient_name : str
        What it is.
    action : str
        EventActionCode: C, R or U.
    """

    transfer: Transfer
    study_instance_uid: str
    sop_class_uid: str
    action: str
    patient_id: str
    patient_name: str


class Transferred(NamedTuple):
    """What has come over an association: instances of a study and a SOP class, to which the same has happened."""

    association: str
    study_instance_uid: str
    sop_class_uid: str
    action: str
    outcome: int
    parties: str
    patient_id: str
    patient_name: str
    count: int


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row of the trail.

    Parameters
    ----------
    position : int
        Its place in the chain, from 1.
    row : AuditRow
        As it was inserted.
    digest : str
        Its digest, see `medserver.audit.chain`.
    """

    position: int
    row: AuditRow
    digest: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the chain begins and ends.

    Parameters
    ----------
    position, digest
        Of the last row; 0 if there was never one.
    pruned_position, pruned_digest
        Of the last row that is not kept any more; 0 if there is none.
    owner : str or None
        Who seals.
    lease_until : datetime or None
        Until when nobody else does.
    """

    position: int
    digest: str
    pruned_position: int
    pruned_digest: str
    owner: str | None
    lease_until: datetime | None


@dataclass(frozen=True, slots=True)
class Repository:
    """How far a repository has the trail.

    Parameters
    ----------
    name : str
        Its URL.
    sent_position : int
        The last row that was sent.
    confirmed_position : int
        The last row of which it is known that it was received: after a break those behind it are sent again.
    confirmed_at : datetime or None
    problem : str or None
        Why it gets nothing now.
    """

    name: str
    sent_position: int
    confirmed_position: int
    confirmed_at: datetime | None
    problem: str | None
