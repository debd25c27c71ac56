"""How a work item of ours has ended, with those that follow from it where types are chained."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.errors import CannotProcess, NoSuchWorkitem
from medserver.node import Node
from medserver.processing.performing import following_uid
from medserver.processing.reasons import error_for
from medserver.processing.requests import Reference, reference_in, request_of
from medserver.workitems.content import code_of, content_of, first_item, items, value
from medserver.workitems.outcomes import CANCELED, FINAL
from medserver.workitems.states import PERFORMED, PROGRESS


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an item.

    Parameters
    ----------
    sop_instance_uid : str
        The item that was the last of its chain.
    state : str
        ``COMPLETED`` or ``CANCELED``.
    outputs : tuple of Reference
        What it has made, by series.
    error : CannotProcess or None
        Why it was cancelled.
    """

    sop_instance_uid: str
    state: str
    outputs: tuple[Reference, ...] = ()
    error: CannotProcess | None = None


def ended(node: Node, sop_instance_uid: str) -> Ended | None:
    """Return how an item and all that follow from it have ended; None if one has not.

    Raises
    ------
    NoSuchWorkitem
        It is gone.
    """
    row = node.index.workitems.get(sop_instance_uid)
    if row is None:
        raise NoSuchWorkitem("there is no work item of this UID any more")
    if row.state not in FINAL:
        return None
    content = content_of(row.content)
    if row.state == CANCELED:
        progress = first_item(content, PROGRESS)
        reason = first_item(progress, "ProcedureStepDiscontinuationReasonCodeSequence")
        code, scheme = code_of(reason)
        meaning, text = value(reason, "CodeMeaning"), value(progress, "ReasonForCancellation")
        said = f"{meaning or 'cancelled'} ({code}, {scheme})"
        error = error_for(code, scheme)(f"{said}: {text}" if text else said)
        return Ended(sop_instance_uid, row.state, error=error)
    if request_of(content).then:
        return ended(node, following_uid(sop_instance_uid))
    performed = first_item(content, PERFORMED)
    return Ended(sop_instance_uid, row.state, tuple(map(reference_in, items(performed, "OutputInformationSequence"))))
