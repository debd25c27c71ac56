"""The tables of storage commitment: their SQL. Every method works in a transaction of its caller.

How a state leads to the next::

    a peer asks us:   pending --all instances decided--> checked --acknowledged--> reported
    we ask a peer:    pending --its report--> reported
                      pending --its refusal--> refused
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from medserver.dicom.storage_commitment import Reference
from medserver.index.commitments.records import NewCommitment, StoredCommitment
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text

ROWS_PER_INSERT = 200
PAGE_ROWS = 500

_COLUMNS = "id, role, transaction_uid, ae_title, remote, state, held, requested_at, finished_at"
_OF = "FROM commitment_instances WHERE commitment = commitments.id"
_SELECT = (
    f"SELECT {_COLUMNS}, (SELECT COUNT(*) {_OF}), (SELECT COUNT(*) {_OF} AND reason = 0), "
    f"(SELECT COUNT(*) {_OF} AND reason <> 0) FROM commitments"
)
_INSERT_INSTANCES = (
    "INSERT INTO commitment_instances (commitment, position, sop_class_uid, sop_instance_uid, reason) VALUES "
)


class CommitmentTable:
    """The tables of transactions and of their instances.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        sql = backend.sql
        self._insert = sql(
            "INSERT INTO commitments (role, transaction_uid, ae_title, remote, fingerprint, state, held, requested_at) "
            "VALUES (?, ?, ?, ?, ?, 'pending', ?, ?) RETURNING id"
        )
        self._same_uid = sql(
            "SELECT id, fingerprint FROM commitments WHERE role = ? AND ae_title = ? AND transaction_uid = ? "
            "ORDER BY id"
        )
        self._numbers = sql("SELECT id FROM commitments WHERE transaction_uid = ? ORDER BY id")
        self._outstanding = sql(
            "SELECT COUNT(*) FROM commitments WHERE role = ? AND ae_title = ? AND state IN ('pending', 'checked') "
            "AND finished_at IS NULL"
        )
        unreported = (
            "UPDATE commitments SET finished_at = ? WHERE role = 'scp' AND state IN ('pending', 'checked') "
            "AND finished_at IS NULL AND requested_at < ?"
        )
        self._give_up = sql(f"{unreported} RETURNING ae_title")
        self._give_up_of = sql(f"{unreported} AND ae_title = ? RETURNING ae_title")
        self._get = sql(f"{_SELECT} WHERE id = ?")
        self._page = sql(f"{_SELECT} WHERE id > ? ORDER BY id LIMIT {PAGE_ROWS}")
        self._undecided = sql(
            "SELECT position, sop_class_uid, sop_instance_uid FROM commitment_instances "
            f"WHERE commitment = ? AND reason IS NULL AND position > ? ORDER BY position LIMIT {PAGE_ROWS}"
        )
        self._instances = sql(
            "SELECT position, sop_class_uid, sop_instance_uid, reason FROM commitment_instances "
            f"WHERE commitment = ? AND position > ? ORDER BY position LIMIT {PAGE_ROWS}"
        )
        self._decide = sql(
            f"UPDATE commitment_instances SET reason = ? WHERE commitment = ? AND position {backend.among}"
        )
        self._set_state = sql(
            "UPDATE commitments SET state = ?, finished_at = ?, claimed_until = NULL "
            "WHERE id = ? AND state IN ('pending', 'checked') RETURNING id"
        )
        self._claim = sql(
            "UPDATE commitments SET claimed_until = ? WHERE id = ? AND state = 'checked' AND held = 1 RETURNING id"
        )
        self._let_go = sql("UPDATE commitments SET held = 0, claimed_until = NULL WHERE id = ?")
        self._take_over = sql(
            "UPDATE commitments SET held = 0, claimed_until = NULL WHERE id = ? AND state = 'checked' "
            "AND (claimed_until IS NULL OR claimed_until <= ?) RETURNING id"
        )
        self._state = sql("SELECT state FROM commitments WHERE id = ?")
        old = "SELECT id FROM commitments WHERE finished_at < ?"
        self._prune_instances = sql(f"DELETE FROM commitment_instances WHERE commitment IN ({old})")
        self._prune = sql("DELETE FROM commitments WHERE finished_at < ? RETURNING id")

    # Life

    def with_uid(self, connection: Any, role: str, ae_title: str, transaction_uid: str) -> dict[str, int]:
        """Return the transactions of a peer that have a Transaction UID: fingerprint -> number."""
        rows = connection.execute(self._same_uid, (role, ae_title, transaction_uid)).fetchall()
        return {fingerprint: number for number, fingerprint in rows}

    def lock(self, connection: Any, role: str, ae_title: str) -> None:
        """Let nobody else add transactions of a peer until the end of the transaction."""
        self._backend.lock(connection, "\n".join(("commitment", role, ae_title)))

    def outstanding(self, connection: Any, role: str, ae_title: str) -> int:
        """Count the transactions of a peer that are not finished."""
        return connection.execute(self._outstanding, (role, ae_title)).fetchall()[0][0]

    def give_up(
        self, connection: Any, now: datetime, before: datetime, ae_title: str | None = None
    ) -> dict[str, int]:
        """Count what was asked before a moment, of one peer or of all, as finished though it was not reported.

        Returns
        -------
        dict
            AE title -> how many transactions.
        """
        moments = (to_text(now), to_text(before))
        if ae_title is None:
            rows = connection.execute(self._give_up, moments).fetchall()
        else:
            rows = connection.execute(self._give_up_of, (*moments, ae_title)).fetchall()
        return Counter(row[0] for row in rows)

    def add(self, connection: Any, new: NewCommitment, now: datetime, reason: int | None = None) -> int:
        """Add a transaction, with what is already known of all its instances; return its number."""
        row = (
            new.role, new.transaction_uid, new.ae_title, new.remote, new.fingerprint(), int(new.held), to_text(now)
        )  # fmt: skip
        number = connection.execute(self._insert, row).fetchall()[0][0]
        for start in range(0, len(new.references), ROWS_PER_INSERT):
            references = new.references[start : start + ROWS_PER_INSERT]
            values: list[Any] = []
            for position, one in enumerate(references, start=start):
                values += (number, position, one.sop_class_uid, one.sop_instance_uid, reason)
            statement = _INSERT_INSTANCES + ", ".join(["(?, ?, ?, ?, ?)"] * len(references))
            connection.execute(self._backend.sql(statement), tuple(values))
        return number

    def decide(self, connection: Any, number: int, reasons: Mapping[int, int]) -> None:
        """Note what is known of instances: position -> Failure Reason, or 0."""
        positions: dict[int, list[int]] = {}
        for position, reason in reasons.items():
            positions.setdefault(reason, []).append(position)
        for reason, some in positions.items():
            connection.execute(self._decide, (reason, number, self._backend.list_parameter(some)))

    def set_state(self, connection: Any, number: int, state: str, finished_at: datetime | None) -> bool:
        """Change the state of a transaction that is not finished; False if it is."""
        moment = to_text(finished_at) if finished_at else None
        return connection.execute(self._set_state, (state, moment, number)).fetchall() != []

    def claim(self, connection: Any, number: int, until: datetime) -> bool:
        """Reserve the report for the association of the request; False if it is not ready, done, or taken over."""
        return connection.execute(self._claim, (to_text(until), number)).fetchall() != []

    def let_go(self, connection: Any, number: int) -> None:
        """Note that it will not be reported on the association of the request."""
        connection.execute(self._let_go, (number,))

    def take_over(self, connection: Any, number: int, now: datetime) -> bool:
        """Take the report from the association of the request; False if it is not ready, done, or reserved."""
        return connection.execute(self._take_over, (number, to_text(now))).fetchall() != []

    def prune(self, connection: Any, before: datetime) -> int:
        """Delete what was finished before a moment; return how many transactions that were."""
        connection.execute(self._prune_instances, (to_text(before),))
        return len(connection.execute(self._prune, (to_text(before),)).fetchall())

    # Looking

    def state(self, connection: Any, number: int) -> str | None:
        """Return the state of a transaction."""
        rows = connection.execute(self._state, (number,)).fetchall()
        return rows[0][0] if rows else None

    def get(self, connection: Any, number: int) -> StoredCommitment | None:
        """Return a transaction."""
        rows = connection.execute(self._get, (number,)).fetchall()
        return _commitment(rows[0]) if rows else None

    def numbers(self, connection: Any, transaction_uid: str) -> list[int]:
        """Return the numbers of the transactions that have a Transaction UID."""
        return [row[0] for row in connection.execute(self._numbers, (transaction_uid,)).fetchall()]

    def page(self, connection: Any, after: int) -> list[StoredCommitment]:
        """Return the next transactions after a number."""
        return [_commitment(row) for row in connection.execute(self._page, (after,)).fetchall()]

    def undecided(self, connection: Any, number: int, after: int) -> dict[int, Reference]:
        """Return the next instances after a position of which nobody knows yet whether they are safe."""
        rows = connection.execute(self._undecided, (number, after)).fetchall()
        return {position: Reference(*uids) for position, *uids in rows}

    def instances(self, connection: Any, number: int, after: int) -> list[tuple[int, str, str, int | None]]:
        """Return the next instances after a position: position, SOP class, SOP instance, Failure Reason."""
        return [tuple(row) for row in connection.execute(self._instances, (number, after)).fetchall()]


def _commitment(row: Sequence[Any]) -> StoredCommitment:
    return StoredCommitment(
        *row[:6],
        held=bool(row[6]),
        requested_at=from_text(row[7]),
        finished_at=from_text(row[8]) if row[8] else None,
        count=row[9],
        safe=row[10],
        failed=row[11],
    )
