"""What an operation comes to: one table, by the operation, the state of the item, and the Transaction UID given.

It is that of PS3.4 table CC.1.1-2, with the rows of N-SET (PS3.4 CC.2.6.3). Operations, tests and the conformance
statement read it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum

from medserver import errors
from medserver.dicom.uids import (
    UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE,
    UPS_GLOBAL_SUBSCRIPTION_INSTANCE,
    is_valid_uid,
)
from medserver.errors import WorkitemRefused

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
STATES = (SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED)
FINAL = (COMPLETED, CANCELED)
WELL_KNOWN = (UPS_GLOBAL_SUBSCRIPTION_INSTANCE, UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE)
"""What stands for many items, and is none."""

UNKNOWN = "unknown"
"""Instead of a state: there is no such item."""


class Operation(StrEnum):
    """What is asked for."""

    CLAIM = "claim"
    SCHEDULE = "schedule"
    COMPLETE = "complete"
    CANCEL = "cancel"
    UPDATE = "update"
    REQUEST_CANCEL = "request_cancel"


OPERATION_OF_STATE = {
    IN_PROGRESS: Operation.CLAIM,
    SCHEDULED: Operation.SCHEDULE,
    COMPLETED: Operation.COMPLETE,
    CANCELED: Operation.CANCEL,
}
"""The operation that a request to change the state to this one is."""


class Given(StrEnum):
    """Which Transaction UID comes with it. While an item has none, each is the right one."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"


class Remark(StrEnum):
    """What is said of an operation that was performed, but not quite as asked, or need not be."""

    CREATED_WITH_MODIFICATIONS = "created with modifications"
    ALREADY_CANCELED = "already canceled"
    ALREADY_COMPLETED = "already completed"
    ATTRIBUTES_NOT_SUPPORTED = "attributes not supported"


OUTCOMES: Mapping[str, Remark | type[WorkitemRefused] | None] = {
    "done": None,
    "already_canceled": Remark.ALREADY_CANCELED,
    "already_completed": Remark.ALREADY_COMPLETED,
    "final": errors.WorkitemIsFinal,
    "wrong_uid": errors.WrongTransactionUID,
    "in_progress": errors.WorkitemInProgress,
    "scheduled_once": errors.CannotBecomeScheduled,
    "no_such": errors.NoSuchWorkitem,
    "not_yet": errors.WorkitemNotInProgress,
    "completed": errors.WorkitemIsCompleted,
}
"""The words of the table: None where the operation is performed."""

_TABLE = """
operation       given    unknown  scheduled       in_progress     completed          canceled
claim           right    no_such  done            in_progress     final              final
claim           wrong    no_such  .               wrong_uid       wrong_uid          wrong_uid
claim           missing  no_such  wrong_uid       wrong_uid       wrong_uid          wrong_uid
schedule        right    no_such  scheduled_once  scheduled_once  scheduled_once     scheduled_once
schedule        wrong    no_such  .               scheduled_once  scheduled_once     scheduled_once
schedule        missing  no_such  scheduled_once  scheduled_once  scheduled_once     scheduled_once
complete        right    no_such  not_yet         done            already_completed  final
complete        wrong    no_such  .               wrong_uid       wrong_uid          wrong_uid
complete        missing  no_such  wrong_uid       wrong_uid       wrong_uid          wrong_uid
cancel          right    no_such  not_yet         done            final              already_canceled
cancel          wrong    no_such  .               wrong_uid       wrong_uid          wrong_uid
cancel          missing  no_such  wrong_uid       wrong_uid       wrong_uid          wrong_uid
update          right    no_such  not_yet         done            final              final
update          wrong    no_such  .               wrong_uid       final              final
update          missing  no_such  done            wrong_uid       final              final
request_cancel  right    no_such  done            done            completed          already_canceled
request_cancel  wrong    no_such  .               done            completed          already_canceled
request_cancel  missing  no_such  done            done            completed          already_canceled
"""
"""A point stands for what there is not: no Transaction UID is wrong while the item has none. A request to cancel needs
none."""


def _read(text: str) -> dict[tuple[Operation, str, Given], str]:
    (_, _, *states), *rows = (line.split() for line in text.strip().splitlines())
    return {
        (Operation(operation), state if state == UNKNOWN else state.upper().replace("_", " "), Given(given)): outcome
        for operation, given, *cells in rows
        for state, outcome in zip(states, cells, strict=True)
        if outcome != "."
    }


TABLE = _read(_TABLE)
"""(operation, state, Transaction UID) -> the word of `OUTCOMES`."""


def decide(operation: Operation, state: str, given: Given) -> Remark | None:
    """Return what is to be said of an operation that need not be performed; None if it is to be.

    Raises
    ------
    WorkitemRefused
        It is refused: one of the classes below it.
    """
    word = TABLE[operation, state, given]
    outcome = OUTCOMES[word]
    if isinstance(outcome, type):
        raise outcome(_reason(outcome, state))
    return outcome


def given_for(state: str, transaction_digest: str, transaction_uid: str) -> Given:
    """Tell which Transaction UID was given.

    Parameters
    ----------
    state : str
        That of the item.
    transaction_digest : str
        Of the Transaction UID of the item, see `digest_of`.
    transaction_uid : str
        What was given; what is no UID counts as none.
    """
    if not is_valid_uid(transaction_uid):
        return Given.MISSING
    if state in (SCHEDULED, UNKNOWN):
        return Given.RIGHT
    is_right = hmac.compare_digest(digest_of(transaction_uid), transaction_digest)
    return Given.RIGHT if is_right else Given.WRONG


def digest_of(transaction_uid: str) -> str:
    """Return what is kept of a Transaction UID, which is a password of sorts and never told (PS3.4 CC.2.7.3)."""
    return hashlib.sha256(transaction_uid.encode()).hexdigest()


def _reason(refusal: type[WorkitemRefused], state: str) -> str:
    if refusal is errors.NoSuchWorkitem:
        return "there is no work item of this UID"
    return f"{(refusal.__doc__ or '').strip().rstrip('.')} ({state})"
