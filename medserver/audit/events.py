"""Audit events as records: what is known of one before it becomes a message, and functions that make them.

A function for each kind of the table in `kinds`. They hold what the standard says of participants and objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medserver.audit import codes
from medserver.audit.actor import Actor, Participant
from medserver.audit.codes import Code

PERSON, SYSTEM = 1, 2
"""ParticipantObjectTypeCode."""

PATIENT_ROLE, REPORT_ROLE, MASTER_FILE_ROLE, SECURITY_RESOURCE_ROLE = 1, 3, 5, 13
"""ParticipantObjectTypeCodeRole."""

UNKNOWN = "unknown"
"""Stands for a study or a patient that the message must name, and nobody knows."""


@dataclass(frozen=True, slots=True)
class AuditObject:
    """One ParticipantObjectIdentification of a message.

    Parameters
    ----------
    id_type : Code
        What `object_id` is.
    object_id : str
        Which.
    type, role : int
        ParticipantObjectTypeCode and ParticipantObjectTypeCodeRole.
    name : str
        ParticipantObjectName: for people.
    query : bytes or None
        ParticipantObjectQuery, in the place of the name.
    details : tuple of tuple (str, bytes)
        ParticipantObjectDetail: type and value.
    accession_numbers : tuple of str
    sop_classes : tuple of tuple (str, int)
        UID, and how many instances of it.
    step_uids : tuple of str
        Modality Performed Procedure Steps.

    References
    ----------
    PS3.15 A.5.2
    """

    id_type: Code
    object_id: str
    type: int
    role: int
    name: str = ""
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()
    accession_numbers: tuple[str, ...] = ()
    sop_classes: tuple[tuple[str, int], ...] = ()
    step_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What is told of an event, but when it was and who tells it.

    Parameters
    ----------
    kind : str
        Its row in `kinds.KINDS`.
    action : str
        EventActionCode: C, R, U, D or E.
    participants : tuple of Participant
    objects : tuple of AuditObject
    outcome : int
        EventOutcomeIndicator.
    type : Code or None
        EventTypeCode.
    description : str
        EventOutcomeDescription: why it is no success.
    """

    kind: str
    action: str
    participants: tuple[Participant, ...]
    objects: tuple[AuditObject, ...] = ()
    outcome: int = codes.SUCCESS
    type: Code | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient, as messages name one."""

    patient_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """A study of a message, with the instances of it that the event is about."""

    study_instance_uid: str
    sop_classes: Mapping[str, int] | None = None
    accession_number: str = ""
    step_uids: tuple[str, ...] = ()


def patient_object(patient: Patient) -> AuditObject:
    """Return the patient as an object; what has none has an empty Patient ID."""
    return AuditObject(codes.PATIENT_NUMBER, patient.patient_id or UNKNOWN, PERSON, PATIENT_ROLE, patient.name)


def study_object(study: Study) -> AuditObject:
    """Return a study as an object."""
    return AuditObject(
        codes.STUDY_INSTANCE_UID,
        study.study_instance_uid or UNKNOWN,
        SYSTEM,
        REPORT_ROLE,
        accession_numbers=(study.accession_number,) if study.accession_number else (),
        sop_classes=tuple(sorted((study.sop_classes or {}).items())),
        step_uids=study.step_uids,
    )


def _about(patient: Patient, studies: Iterable[Study]) -> tuple[AuditObject, ...]:
    return (*map(study_object, studies), patient_object(patient))


def application_activity(node: Actor, launcher: Actor | None, *, starts: bool) -> AuditEvent:
    """Return that the node has started or stopped (PS3.15 A.5.3.1)."""
    launchers = launcher.participants(codes.LAUNCHER, is_requestor=True) if launcher else ()
    event_type = codes.APPLICATION_START if starts else codes.APPLICATION_STOP
    return AuditEvent("application", "E", (*node.participants(codes.APPLICATION), *launchers), type=event_type)


def audit_log_used(reader: Actor, uri: str) -> AuditEvent:
    """Return that somebody has read the trail (PS3.15 A.5.3.2)."""
    log = AuditObject(codes.URI, uri, SYSTEM, SECURITY_RESOURCE_ROLE, "Security Audit Log")
    return AuditEvent("log used", "R", reader.participants(is_requestor=True), (log,))


def begin_transferring(
    source: Actor, destination: Actor, patient: Patient, studies: Sequence[Study], requestor: Actor
) -> AuditEvent:
    """Return that instances are about to be sent (PS3.15 A.5.3.3)."""
    return AuditEvent("begin", "E", _parties(source, destination, requestor), _about(patient, studies))


def instances_transferred(
    source: Actor,
    destination: Actor,
    patient: Patient,
    studies: Sequence[Study],
    requestor: Actor,
    *,
    action: str = "R",
    outcome: int = codes.SUCCESS,
    description: str = "",
) -> AuditEvent:
    """Return that instances were sent, or received (PS3.15 A.5.3.7).

    Parameters
    ----------
    source, destination, requestor : Actor
        The requestor is one of them, or a third one.
    action : str
        C where the receiver did not hold them, R where it held the same or nobody knows, U where it replaced others.
    """
    parties = _parties(source, destination, requestor)
    return AuditEvent("transferred", action, parties, _about(patient, studies), outcome, description=description)


def _parties(source: Actor, destination: Actor, requestor: Actor) -> tuple[Participant, ...]:
    others = () if requestor in (source, destination) else requestor.participants(is_requestor=True)
    return (
        *source.participants(codes.SOURCE, is_requestor=requestor == source),
        *destination.participants(codes.DESTINATION, is_requestor=requestor == destination),
        *others,
    )


def instances_accessed(
    who: Actor, action: str, patient: Patient, studies: Sequence[Study], outcome: int = codes.SUCCESS
) -> AuditEvent:
    """Return that instances were read, made, changed or deleted here (PS3.15 A.5.3.6)."""
    return AuditEvent("accessed", action, who.participants(is_requestor=True), _about(patient, studies), outcome)


def study_deleted(who: Actor, patient: Patient, studies: Sequence[Study], outcome: int = codes.SUCCESS) -> AuditEvent:
    """Return that all instances of studies were deleted (PS3.15 A.5.3.8)."""
    return AuditEvent("deleted", "D", who.participants(is_requestor=True), _about(patient, studies), outcome)


def data_export(
    node: Actor,
    requestor: Actor,
    media: str,
    media_type: Code,
    patients: Sequence[Patient],
    studies: Sequence[Study],
    outcome: int = codes.SUCCESS,
    description: str = "",
) -> AuditEvent:
    """Return that images have left as films, paper or files (PS3.15 A.5.3.4)."""
    own = node.participants(codes.SOURCE, is_requestor=requestor == node)
    others = () if requestor == node else requestor.participants(codes.DESTINATION, is_requestor=True)
    target = Participant(media, roles=(codes.DESTINATION_MEDIA,), media_type=media_type)
    objects = (*map(study_object, studies), *map(patient_object, patients or [Patient()]))
    return AuditEvent("export", "R", (*others, *own, target), objects, outcome, description=description)


def query(
    source: Actor,
    destination: Actor,
    sop_class_uid: str,
    identifier: bytes,
    transfer_syntax_uid: str,
    outcome: int = codes.SUCCESS,
    description: str = "",
) -> AuditEvent:
    """Return that a query was received (PS3.15 A.5.3.10); not what was answered."""
    queried = AuditObject(
        codes.SOP_CLASS_UID,
        sop_class_uid,
        SYSTEM,
        REPORT_ROLE,
        query=identifier,
        details=(("TransferSyntax", transfer_syntax_uid.encode()),),
    )
    parties = _parties(source, destination, source)
    return AuditEvent("query", "E", parties, (queried,), outcome, description=description)


def security_alert(
    reporter: Actor,
    event_type: Code,
    subject: str,
    text: str,
    *,
    outcome: int = codes.MINOR_FAILURE,
    performers: Sequence[Actor] = (),
    is_node: bool = True,
) -> AuditEvent:
    """Return what endangers or changes the security of the node (PS3.15 A.5.3.11).

    Parameters
    ----------
    subject : str
        The node that it is about, or the URI of what it is about.
    text : str
        What has happened.
    performers : sequence of Actor
        Who did it.
    is_node : bool
        Whether the subject is a node.
    """
    alert = AuditObject(
        codes.NODE_ID if is_node else codes.URI,
        subject or UNKNOWN,
        SYSTEM,
        SECURITY_RESOURCE_ROLE if is_node else MASTER_FILE_ROLE,
        details=(("Alert Description", text.encode("utf-8", "replace")),),
    )
    participants = reporter.participants(is_requestor=not performers)
    # "Performing Persons or Processes": UserIsRequestor shall be FALSE
    participants += tuple(each for one in performers for each in one.participants())
    return AuditEvent("alert", "E", participants, (alert,), outcome, event_type)


def user_authentication(
    user: Actor, node: Actor, *, is_login: bool = True, outcome: int = codes.SUCCESS, description: str = ""
) -> AuditEvent:
    """Return that a user has logged in or out, or has tried to (PS3.15 A.5.3.12)."""
    participants = (*user.participants(is_requestor=True), *node.participants())
    event_type = codes.LOGIN if is_login else codes.LOGOUT
    return AuditEvent("user", "E", participants, (), outcome, event_type, description)


def procedure_record(
    who: Actor, action: str, patient: Patient, studies: Sequence[Study], outcome: int = codes.SUCCESS,
    description: str = "",
) -> AuditEvent:  # fmt: skip
    """Return that a procedure step was made, read or changed (PS3.15 A.5.3.15): a work item, or a performed step."""
    participants = who.participants(is_requestor=True)
    return AuditEvent("procedure", action, participants, _about(patient, studies), outcome, description=description)
