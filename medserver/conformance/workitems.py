"""Section 5.2.3: work items, printed from the tables that the operations read."""

from __future__ import annotations

from datetime import timedelta

from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section, Table
from medserver.conformance.processing import processing_section
from medserver.conformance.roles import sop_classes_table
from medserver.dicom import status
from medserver.procedures.workitem_events import GIVE_UP_AFTER
from medserver.procedures.workitem_farewell import WITHIN_S
from medserver.services.registry import SERVICES
from medserver.services.responses import answer_to
from medserver.services.workitem import ACTION_NAMES, ACTIONS, REMARKS
from medserver.wire.command_set import CommandField
from medserver.workitems.attributes import ATTRIBUTES
from medserver.workitems.creating import DEFAULT_WORKLIST_LABEL
from medserver.workitems.events import EVENT_NAMES
from medserver.workitems.follow_ups import OUR_SCHEME
from medserver.workitems.outcomes import OUTCOMES, STATES, TABLE, Given, Operation, Remark
from medserver.workitems.states import UNSPECIFIED_REASON

SCP = (
    "The node is an SCP of all five SOP classes. Requests and events carry the SOP Class UID of Push, whichever class "
    "the presentation context is of (PS3.4 CC.3.1); the class of the context is understood as well, and noted in the "
    "log. What is not stated below for a context is answered with 0211, an action that it does not have with 0123, and "
    "one that is not meant for a well-known instance with C314.",
    "An item is created SCHEDULED and with an empty Transaction UID, else C309. Attributes of Type 1 are checked "
    "(0120, 0121, 0106); those of Type 2 that are missing are added without a value. What cannot have been performed "
    f"yet is left out (B300). An empty Worklist Label becomes {DEFAULT_WORKLIST_LABEL}. The modification date and time "
    "is that of the node. The requestor of an N-CREATE is not subscribed by it. An N-SET changes all that it says or "
    "nothing, a sequence as a whole; what is never changed is left as it is (0001), the state is refused (0106).",
    "Each state change is one transaction of the database, with the events that follow from it, and is durable when it "
    "is answered. The Transaction UID is kept as a digest and never told. An item that is cancelled by its performer "
    f"gets the time, and, if the performer has set none, the reason ({', '.join(UNSPECIFIED_REASON)}); everything else "
    "that a final state needs is to be there (C304, the Error Comment names what is missing).",
    "A request to cancel has an item that is SCHEDULED go IN PROGRESS and CANCELED, with both events and the reason of "
    "the request. While it is IN PROGRESS all subscribers are told (event type 2); if none of them is known with an "
    "address the answer is C312. Any subscriber may be the performer. The node cancels what it performs itself, which "
    f"are the items with a Scheduled Workitem Code of the scheme {OUR_SCHEME}, and with a printer those with (110008, "
    "DCM, Print) that are for no station or for one of its own; it never answers C313.",
    "A performer that says nothing of its item is waited for without end, unless ``lost_after`` is set: then the node "
    "cancels the item (110528, DCM, Discontinued Procedure Step rescheduled) and creates another one, the Replaced "
    "Procedure Step Sequence of which names it. The former performer is answered C300. What was issued again "
    "``issued_again_max`` times ends with 110501, DCM, Equipment failure.",
    "A C-FIND matches and returns every attribute of an item, by the kinds of matching of 5.2.7.2.1; the Transaction "
    "UID is neither. N-GET works in the contexts of Push, Pull, Watch and Query, as long as an item is kept.",
)

SUBSCRIPTIONS = (
    "The Receiving AE need not be the caller, but must have an entry with an address and a port, else C308. The "
    "Deletion Lock is always granted. An item that is final is kept while a subscriber has locked it, and then for "
    f"{default_of('workitems', 'keep')} by default (``keep``). A lock on an item that has been final for "
    f"{default_of('workitems', 'keep_locked')} by default (``keep_locked``) is taken away: its subscriber has failed. "
    "A subscription to all is also one to each item, present and future, and does not change one that there is. "
    "Filtered global subscriptions are refused (C307).",
    "Events are sent on associations that the node opens, on which it proposes to be the SCP of the Event SOP class; a "
    "peer that accepts the context without an answer about roles is told as well. Each receiver is told in the order "
    "of the changes. A receiver that cannot be reached is tried again with pauses up to 5 minutes, and an event is "
    f"given up after {GIVE_UP_AFTER // timedelta(hours=1)} h. One that it refuses is not sent again. Neither changes a "
    "subscription or a lock. When the node starts, event type 4 (RESTARTED, both lists WARM START; COLD START with a "
    "new index) goes to all subscribers and to the AEs of ``status_to``; when it stops, GOING DOWN to those that can "
    f"be reached within {WITHIN_S:g} s.",
)

SCU = (
    "``medserver workitem`` creates, searches, reads and cancels items at another AE, and subscribes AEs there. Events "
    "that another AE reports to the node, in the role of the SCP of the Event SOP class, are answered with 0000 and "
    "noted in the log.",
)

ACTORS = (
    "In the terms of the IHE profile AI Workflow for Imaging (AIW-I) the node is the actor Task Manager, in the pull, "
    "triggered pull and push workflows, with the DIMSE transactions RAD-80 to RAD-88. ``medserver workitem`` is a Task "
    "Requester and a Watcher. Other AEs, with the right ``process``, are Task Requesters, Task Performers and "
    "Watchers.",
)

_WORDS = {
    Operation.CLAIM: "to IN PROGRESS",
    Operation.SCHEDULE: "to SCHEDULED",
    Operation.COMPLETE: "to COMPLETED",
    Operation.CANCEL: "to CANCELED",
    Operation.UPDATE: "N-SET",
    Operation.REQUEST_CANCEL: "request cancel",
}


def workitem_section() -> Section:
    """Return section 5.2.3."""
    services = [one for one in SERVICES if one.right == "process"]
    return Section(
        "5.2.3",
        "Unified Worklist and Procedure Step Service",
        (sop_classes_table("SOP classes of Unified Procedure Step", *services),),
        (
            Section("5.2.3.1", "SCU of the Unified Procedure Step SOP Classes", SCU),
            Section(
                "5.2.3.2",
                "SCP of the Unified Procedure Step SOP Classes",
                (*SCP, _outcomes_table(), _actions_table(), _attributes_table(), *SUBSCRIPTIONS, _events_table()),
            ),
            Section("5.2.3.3", "Actors of IHE AIW-I", ACTORS),
            processing_section(),
        ),
    )


def outcome_code(operation: Operation, state: str, given: Given) -> int | None:
    """Return the status that an operation is answered with; None where there is no such case."""
    word = TABLE.get((operation, state, given))
    if word is None:
        return None
    outcome = OUTCOMES[word]
    if outcome is None:
        return status.SUCCESS
    if isinstance(outcome, Remark):
        return REMARKS[outcome]
    field = CommandField.N_SET if operation is Operation.UPDATE else CommandField.N_ACTION
    return answer_to(outcome(""), field).code


def _outcomes_table() -> Table:
    rows = []
    for operation in Operation:
        for given in Given:
            codes = [outcome_code(operation, state, given) for state in STATES]
            cells = ("-" if code is None else f"{code:04X}" for code in codes)
            rows.append((_WORDS[operation], given.value, *cells))
    header = ("Operation", "Transaction UID", *STATES)
    return Table("What is answered, by the state of the item", header, tuple(rows))


def _actions_table() -> Table:
    names = {uid: name for service in SERVICES for uid, name in service.sop_classes.items()}
    rows = tuple(
        (str(number), action, "; ".join(names[uid] for uid, numbers in ACTIONS.items() if number in numbers))
        for number, action in ACTION_NAMES.items()
    )
    return Table("Actions on work items", ("Type", "Action", "SOP class of the context"), rows)


def _attributes_table() -> Table:
    rows = tuple((">" * (len(row.path) - 1) + row.keyword, row.create, row.modify, row.final) for row in ATTRIBUTES)
    return Table("Attributes of work items", ("Attribute", "N-CREATE", "N-SET", "Final state"), rows)


def _events_table() -> Table:
    return Table(
        "Events of work items", ("Type", "Event"), tuple((str(number), name) for number, name in EVENT_NAMES.items())
    )
