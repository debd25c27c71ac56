"""The audit messages of the node: one row a kind, which messages, tests and the conformance statement read.

What the standard demands of participants and objects stands here as data; `problems_of` compares an event with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from medserver.audit import codes
from medserver.audit.codes import Code
from medserver.audit.events import (
    MASTER_FILE_ROLE,
    PATIENT_ROLE,
    PERSON,
    REPORT_ROLE,
    SECURITY_RESOURCE_ROLE,
    SYSTEM,
    AuditEvent,
)

MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of something: participants in a role, or objects of a kind.

    Parameters
    ----------
    least, most : int
    role : Code or None
        The RoleIDCode of participants; None: of those without one.
    """

    least: int
    most: int
    role: Code | None = None


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """Objects of a kind: their codes, and how many there are.

    Parameters
    ----------
    id_types : tuple of Code
    type : int
    roles : tuple of int
    least, most : int
    details : tuple of str
        The types of details that each has.
    has_query : bool
        Whether it has a query in the place of a name.
    """

    id_types: tuple[Code, ...]
    type: int
    roles: tuple[int, ...]
    least: int = 1
    most: int = 1
    details: tuple[str, ...] = ()
    has_query: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message.

    Parameters
    ----------
    name : str
        What the records call it.
    event : Code
        EventID.
    clause : str
        Where the standard defines it.
    when : str
        What it is made of, for people.
    actions : str
        The EventActionCodes that it may have.
    types : tuple of Code
        The EventTypeCodes that it may have; one of them must be there.
    participants : tuple of Count
    objects : tuple of ObjectRule
    must_not_request : tuple of Code
        Roles of participants that are never the requestor.
    """

    name: str
    event: Code
    clause: str
    when: str
    actions: str
    participants: tuple[Count, ...]
    objects: tuple[ObjectRule, ...] = ()
    types: tuple[Code, ...] = ()
    must_not_request: tuple[Code, ...] = ()


_STUDIES = ObjectRule((codes.STUDY_INSTANCE_UID,), SYSTEM, (REPORT_ROLE,), 1, MANY)
_ANY_STUDIES = ObjectRule((codes.STUDY_INSTANCE_UID,), SYSTEM, (REPORT_ROLE,), 0, MANY)
_PATIENT = ObjectRule((codes.PATIENT_NUMBER,), PERSON, (PATIENT_ROLE,))
_PATIENTS = ObjectRule((codes.PATIENT_NUMBER,), PERSON, (PATIENT_ROLE,), 1, MANY)
_PARTIES = (Count(1, 1, codes.SOURCE), Count(1, 1, codes.DESTINATION), Count(0, MANY))

_KINDS = (
    Kind(
        "application", codes.APPLICATION_ACTIVITY, "PS3.15 A.5.3.1", "the node starts or stops", "E",
        (Count(1, 1, codes.APPLICATION), Count(0, MANY, codes.LAUNCHER), Count(0, MANY)),
        types=(codes.APPLICATION_START, codes.APPLICATION_STOP),
    ),
    Kind(
        "log used", codes.AUDIT_LOG_USED, "PS3.15 A.5.3.2", "the trail is listed, shown or exported", "R",
        (Count(1, 2),),
        (ObjectRule((codes.URI,), SYSTEM, (SECURITY_RESOURCE_ROLE,)),),
    ),
    Kind(
        "begin", codes.BEGIN_TRANSFERRING, "PS3.15 A.5.3.3", "C-MOVE, C-GET: before the first instance is sent", "E",
        _PARTIES, (_STUDIES, _PATIENT),
    ),
    Kind(
        "accessed", codes.INSTANCES_ACCESSED, "PS3.15 A.5.3.6",
        "instances are deleted, of a study that has others; headers are read", "CRUD",
        (Count(1, 2),), (_STUDIES, _PATIENT),
    ),
    Kind(
        "transferred", codes.INSTANCES_TRANSFERRED, "PS3.15 A.5.3.7",
        "at the end of an association, for each study that came or went over it", "CRU",
        _PARTIES, (_STUDIES, _PATIENT),
    ),
    Kind(
        "deleted", codes.STUDY_DELETED, "PS3.15 A.5.3.8", "all instances of a study are deleted", "D",
        (Count(1, 2),), (_STUDIES, _PATIENT),
    ),
    Kind(
        "export", codes.EXPORT, "PS3.15 A.5.3.4", "a film is printed, or images are written to files", "R",
        (
            Count(0, MANY, codes.DESTINATION), Count(1, 2, codes.SOURCE), Count(1, 1, codes.DESTINATION_MEDIA),
            Count(0, MANY),
        ),
        (_ANY_STUDIES, _PATIENTS),
        must_not_request=(codes.DESTINATION_MEDIA,),
    ),
    Kind(
        "query", codes.QUERY, "PS3.15 A.5.3.10", "C-FIND, of images and of work items", "E",
        _PARTIES,
        (
            ObjectRule(
                (codes.SOP_CLASS_UID,), SYSTEM, (REPORT_ROLE,), details=("TransferSyntax",), has_query=True
            ),
        ),
    ),
    Kind(
        "alert", codes.SECURITY_ALERT, "PS3.15 A.5.3.11",
        "an association or an operation is refused, the configuration is changed, the trail could not be written", "E",
        (Count(1, MANY),),
        (
            ObjectRule(
                (codes.NODE_ID, codes.URI), SYSTEM, (SECURITY_RESOURCE_ROLE, MASTER_FILE_ROLE), 0, MANY,
                details=("Alert Description",),
            ),
        ),
        types=(
            codes.NODE_AUTHENTICATION, codes.NETWORK_CONFIGURATION, codes.SECURITY_CONFIGURATION,
            codes.SOFTWARE_CONFIGURATION, codes.RESTRICTED_FUNCTION, codes.RECORDING_STOPPED,
            codes.RECORDING_STARTED, codes.ROLES_CHANGED, codes.USER_ATTRIBUTES_CHANGED,
        ),
    ),
    Kind(
        "user", codes.USER_AUTHENTICATION, "PS3.15 A.5.3.12", "a user logs in or out", "E",
        (Count(1, 4),), types=(codes.LOGIN, codes.LOGOUT),
    ),
    Kind(
        "procedure", codes.PROCEDURE_RECORD, "PS3.15 A.5.3.15",
        "a work item or a performed procedure step is made, read or changed", "CRUD",
        (Count(1, 2),), (_ANY_STUDIES, _PATIENT),
    ),
)  # fmt: skip

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Name -> kind."""


def problems_of(event: AuditEvent) -> list[str]:
    """Return what is wrong with an event by the standard's table of its kind; nothing if all is as it shall be."""
    kind = KINDS[event.kind]
    return [
        *([] if event.action in kind.actions else [f"action {event.action}"]),
        *([] if (event.type in kind.types if kind.types else event.type is None) else [f"event type {event.type}"]),
        *_of_participants(kind, event),
        *_of_objects(kind, event),
    ]


def _of_participants(kind: Kind, event: AuditEvent) -> Iterable[str]:
    rest = list(event.participants)
    for count in kind.participants:
        here = [each for each in rest if (count.role in each.roles if count.role else not each.roles)]
        rest = [each for each in rest if each not in here]
        if not count.least <= len(here) <= count.most:
            yield f"{len(here)} participants as {count.role}"
    if rest:
        yield f"participants {rest}"
    if sum(each.is_requestor for each in event.participants) > 1:
        yield "several requestors"
    if any(each.is_requestor and set(each.roles) & set(kind.must_not_request) for each in event.participants):
        yield "media as requestor"


def _of_objects(kind: Kind, event: AuditEvent) -> Iterable[str]:
    rest = list(event.objects)
    for rule in kind.objects:
        here = [
            each
            for each in rest
            if each.id_type in rule.id_types and each.type == rule.type and each.role in rule.roles
        ]
        rest = [each for each in rest if each not in here]
        if not rule.least <= len(here) <= rule.most:
            yield f"{len(here)} objects of {rule.id_types[0].meaning}"
        for each in here:
            lacking = set(rule.details) - {name for name, _ in each.details}
            if lacking or (each.query is None) == rule.has_query:
                yield f"object {each.object_id} lacks {lacking or 'its query, or has one'}"
    if rest:
        yield f"objects {rest}"
