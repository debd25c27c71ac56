"""What ``medserver commit`` shows: what became of instances, and the transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from medserver.cli.invocation import echo_json, echo_table
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, duration_in_words, printable
from medserver.dicom import status
from medserver.dicom.storage_commitment import SAFE, Reference
from medserver.index import Index, StoredCommitment

DIRECTIONS = {"scp": "asked by", "scu": "asked of"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one instance.

    Parameters
    ----------
    reference : Reference
        Which.
    state : str
        ``committed``, ``failed``, ``unknown`` (there is no report yet) or ``not reported`` (it is not in the report).
    """

    reference: Reference
    state: str

    @property
    def is_safe(self) -> bool:
        """Whether somebody has committed to its safekeeping."""
        return self.state == "committed"

    @property
    def reason(self) -> str:
        """Return why it is not safe, in words; empty if nobody said so."""
        return status.describe(self.reference.reason) if self.state == "failed" else ""

    def described(self) -> dict[str, object]:
        """Return this for JSON."""
        described: dict[str, object] = {
            "sop_class_uid": self.reference.sop_class_uid,
            "sop_instance_uid": self.reference.sop_instance_uid,
            "state": self.state,
        }
        if self.state == "failed":
            described |= {"failure_reason": f"0x{self.reference.reason:04X}", "meaning": self.reason}
        return described


def outcomes_of(index: Index, numbers: Sequence[int]) -> list[Outcome]:
    """Return what is known of all instances of some transactions."""
    outcomes = []
    for number in numbers:
        unknown = "not reported" if index.commitments.state(number) == "reported" else "unknown"
        for reference, is_known in index.commitments.instances(number):
            state = unknown
            if is_known:
                state = "committed" if reference.reason == SAFE else "failed"
            outcomes.append(Outcome(reference, state))
    return outcomes


def echo_instances(outcomes: Sequence[Outcome], peer: str, as_json: bool) -> None:
    """Show what is known of each instance."""
    safe = sum(one.is_safe for one in outcomes)
    if as_json:
        instances = [one.described() for one in outcomes]
        echo_json({"peer": peer, "committed": safe, "not_committed": len(outcomes) - safe, "instances": instances})
        return
    rows = [(one.reference.sop_instance_uid, one.state, one.reason) for one in outcomes]
    echo_table(("SOP INSTANCE UID", "STATE", "REASON"), rows)
    count = count_in_words(len(outcomes), "instance")
    click.echo(f"{safe} of {count} committed: {printable(peer)}")


def echo_transactions(index: Index, now: datetime, as_json: bool) -> None:
    """Show the transactions, the oldest first."""
    transactions = list(index.commitments.list())
    if as_json:
        echo_json([_described(one) for one in transactions])
        return
    if not transactions:
        click.echo("no storage commitment")
        return
    rows = [
        (
            DIRECTIONS[one.role],
            printable(one.ae_title, CELL_LENGTH_MAX),
            "given up" if one.is_given_up else one.state,
            duration_in_words((now - one.requested_at).total_seconds()),
            str(one.count),
            str(one.safe),
            str(one.failed),
            one.transaction_uid,
        )
        for one in transactions
    ]
    echo_table(("", "AE", "STATE", "AGE", "INSTANCES", "SAFE", "FAILED", "TRANSACTION UID"), rows)


def _described(one: StoredCommitment) -> dict[str, object]:
    return {
        "role": one.role,
        "ae_title": one.ae_title,
        "transaction_uid": one.transaction_uid,
        "state": one.state,
        "given_up": one.is_given_up,
        "requested_at": one.requested_at.isoformat(),
        "finished_at": one.finished_at.isoformat() if one.finished_at else None,
        "instances": one.count,
        "safe": one.safe,
        "failed": one.failed,
    }
