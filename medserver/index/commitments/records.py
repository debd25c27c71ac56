"""Storage commitment as it goes into the index and comes out of it. The SQL is in `commitment_table`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from medserver.dicom.storage_commitment import Reference

OUTSTANDING = ("pending", "checked")
STATES = (*OUTSTANDING, "reported", "refused")
"""``pending``: nobody knows yet what is safe. ``checked``: we know, the peer has not acknowledged the report.
``reported``: the report has been acknowledged. ``refused``: the peer did not take the request."""


@dataclass(frozen=True, slots=True)
class NewCommitment:
    """A request for storage commitment.

    Parameters
    ----------
    role : str
        Ours: ``scp`` if a peer asks us, ``scu`` if we ask a peer.
    transaction_uid : str
        Its Transaction UID.
    ae_title : str
        The AE title of the peer.
    remote : str
        The name of its ``[ae NAME]`` entry; empty if it has none.
    references : tuple of Reference
        The instances.
    held : bool
        Whether the association of the request is open, and can be reported on.
    """

    role: str
    transaction_uid: str
    ae_title: str
    remote: str
    references: tuple[Reference, ...]
    held: bool = False

    def fingerprint(self) -> str:
        """Return what tells requests with different references apart."""
        lines = sorted(f"{one.sop_class_uid} {one.sop_instance_uid}" for one in self.references)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredCommitment:
    """A transaction as it stands in the index.

    Parameters
    ----------
    id : int
        Its number.
    state : str
        See `STATES`.
    requested_at : datetime
        When it came in, or went out.
    finished_at : datetime or None
        When the report was acknowledged, the request refused, or the report given up (see `is_given_up`).
    count, safe, failed : int
        How many instances there are in all, are safe, and are not; of the others nobody knows.
    others
        As in `NewCommitment`.
    """

    id: int
    role: str
    transaction_uid: str
    ae_title: str
    remote: str
    state: str
    held: bool
    requested_at: datetime
    finished_at: datetime | None
    count: int
    safe: int
    failed: int

    @property
    def is_given_up(self) -> bool:
        """Whether the peer could not be told, and its request does not count any more."""
        return self.finished_at is not None and self.state in OUTSTANDING
