"""The one function through which a work item changes: the row, what is told of it, and what follows go together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medserver.errors import NoSuchWorkitem
from medserver.index import NewJob, Subscription, Workitem, WorkitemChange
from medserver.log import Event as LogEvent
from medserver.node import Node
from medserver.workitems import events
from medserver.workitems.content import content_of, keys_of, text_of
from medserver.workitems.events import Event
from medserver.workitems.follow_ups import event_jobs
from medserver.workitems.outcomes import FINAL
from medserver.workitems.telling import rows_of_change

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Present:
    """An item as it is, while nobody else changes it.

    Parameters
    ----------
    row : Workitem
        The item.
    content : dict
        Its attributes; a copy.
    subscriptions : sequence of Subscription
        Who is told.
    """

    row: Workitem
    content: dict[str, Any]
    subscriptions: Sequence[Subscription]


@dataclass(frozen=True, slots=True)
class Becoming:
    """What an item becomes. None leaves something as it is.

    Parameters
    ----------
    content : dict
        Its attributes.
    states : tuple of str
        The states that it goes through, the last of which it is in then; empty if the state stays.
    transaction_digest, performer, cancel_requested
        As in `Workitem`.
    told : tuple of Event
        What is told besides what follows from the change.
    jobs : sequence of NewJob
        What follows besides what is told.
    """

    content: dict[str, Any]
    states: tuple[str, ...] = ()
    transaction_digest: str | None = None
    performer: str | None = None
    cancel_requested: bool | None = None
    told: tuple[Event, ...] = ()
    jobs: Sequence[NewJob] = ()


Decide = Callable[[Present], Becoming | None]
"""Takes an item and returns what it becomes, None if it stays; what it raises leaves the item as it is."""


def change(node: Node, sop_instance_uid: str, decide: Decide) -> Workitem:
    """Change an item, and tell of it, in one transaction.

    Parameters
    ----------
    decide : callable
        See `Decide`; may be called more than once.

    Returns
    -------
    Workitem
        As it was before.

    Raises
    ------
    NoSuchWorkitem
        There is none of this UID.
    IndexFailure
        The index does not work.
    """
    reached: list[str] = []

    def decided(row: Workitem, subscriptions: Sequence[Subscription]) -> WorkitemChange | None:
        reached.clear()
        old = content_of(row.content)
        becoming = decide(Present(row, dict(old), subscriptions))
        if becoming is None:
            return None
        reached.extend(becoming.states)
        told = [*becoming.told, *events.of_change(old, becoming.content, row.state, becoming.states)]
        state = becoming.states[-1] if becoming.states else row.state
        return WorkitemChange(
            state=state,
            transaction_digest=_either(becoming.transaction_digest, row.transaction_digest),
            content=text_of(becoming.content),
            performer=_either(becoming.performer, row.performer),
            cancel_requested=_either(becoming.cancel_requested, row.cancel_requested),
            is_final=state in FINAL,
            keys=keys_of(becoming.content),
            jobs=[
                *event_jobs(node, sop_instance_uid, told, [one.receiver for one in subscriptions]),
                *becoming.jobs,
                *rows_of_change(node, sop_instance_uid, becoming.content, becoming.states),
            ],
        )

    before = node.index.workitems.change(sop_instance_uid, decided)
    if before is None:
        raise NoSuchWorkitem("there is no work item of this UID")
    for state in reached:
        logger.info(LogEvent("work item", sop_instance_uid=sop_instance_uid, state=state))
    return before


def _either(new: Any, old: Any) -> Any:
    return old if new is None else new
