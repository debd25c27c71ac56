"""Events as XML (PS3.15 A.5.1): the order of elements is that of the schema, the size is bounded.

Receivers need not take more than 32 KiB (PS3.15 A.6). What is about many studies is told in several messages; of a
query that is longer the beginning is told.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from medserver.audit.actor import Participant
from medserver.audit.codes import STUDY_INSTANCE_UID, Code
from medserver.audit.events import AuditEvent, AuditObject
from medserver.audit.kinds import KINDS

MESSAGE_SIZE_MAX_BYTES = 30_000
"""Room for the header of syslog below 32,768 octets (PS3.15 A.6)."""

OBJECTS_SIZE_MAX_BYTES = 18_000
"""What the studies of one message may take of it: the rest is for participants, patients and a query."""

PATIENTS_MAX = 16
"""How many patients one message names, at most: of a film."""

SOP_CLASSES_MAX = 32
QUERY_LENGTH_MAX_BYTES = 12_000
TEXT_LENGTH_MAX = 256

TRUNCATED = "Truncated"
"""The type of the detail that says how long a query was of which only the beginning is told."""

_SPACES = str.maketrans({"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, in whatever form."""


def split(event: AuditEvent) -> Iterator[AuditEvent]:
    """Yield the events that tell, each in a message of bounded size, what one of many studies would."""
    if len(event.objects) <= 2:
        yield event
        return
    others = tuple(each for each in event.objects if each.id_type is not STUDY_INSTANCE_UID)[:PATIENTS_MAX]
    part: list[AuditObject] = []
    size_bytes = 0
    for study in (each for each in event.objects if each.id_type is STUDY_INSTANCE_UID):
        size_bytes += len(_object(study).encode())
        if part and size_bytes > OBJECTS_SIZE_MAX_BYTES:
            yield replace(event, objects=(*part, *others))
            part, size_bytes = [], len(_object(study).encode())
        part.append(study)
    yield replace(event, objects=(*part, *others))


def encode(event: AuditEvent, at: datetime, source_id: str, site_id: str = "") -> str:
    """Return an event as an AuditMessage.

    Parameters
    ----------
    event : AuditEvent
        The event.
    at : datetime
        When it was, with a time zone.
    source_id, site_id : str
        AuditSourceID and AuditEnterpriseSiteID: who tells it; the latter may be empty.

    Returns
    -------
    str
        XML without a declaration, of at most `MESSAGE_SIZE_MAX_BYTES` in UTF-8.
    """
    kind = KINDS[event.kind]
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parts = [
        "<AuditMessage>",
        f'<EventIdentification EventActionCode="{event.action}" EventDateTime="{moment}" '
        f'EventOutcomeIndicator="{event.outcome}">',
        _coded("EventID", kind.event),
    ]
    if event.type is not None:
        parts.append(_coded("EventTypeCode", event.type))
    if event.description:
        parts.append(f"<EventOutcomeDescription>{_content(event.description)}</EventOutcomeDescription>")
    parts.append("</EventIdentification>")
    parts += map(_participant, event.participants)
    site = f" AuditEnterpriseSiteID={_attribute(site_id)}" if site_id else ""
    parts.append(f"<AuditSourceIdentification{site} AuditSourceID={_attribute(source_id)}>")
    parts.append('<AuditSourceTypeCode csd-code="4"/></AuditSourceIdentification>')
    parts += map(_object, event.objects)
    parts.append("</AuditMessage>")
    return "".join(parts)


def _participant(participant: Participant) -> str:
    attributes = f" UserID={_attribute(participant.user_id)}"
    if participant.alternative_id:
        attributes += f" AlternativeUserID={_attribute(participant.alternative_id)}"
    if participant.name:
        attributes += f" UserName={_attribute(participant.name)}"
    attributes += f' UserIsRequestor="{"true" if participant.is_requestor else "false"}"'
    if participant.access_point:
        attributes += f" NetworkAccessPointID={_attribute(participant.access_point)}"
        attributes += f' NetworkAccessPointTypeCode="{participant.access_point_type}"'
    content = "".join(_coded("RoleIDCode", role) for role in participant.roles)
    if participant.media_type is not None:
        content += f"<MediaIdentifier>{_coded('MediaType', participant.media_type)}</MediaIdentifier>"
    if not content:
        return f"<ActiveParticipant{attributes}/>"
    return f"<ActiveParticipant{attributes}>{content}</ActiveParticipant>"


def _object(each: AuditObject) -> str:
    parts = [
        f"<ParticipantObjectIdentification ParticipantObjectID={_attribute(each.object_id)} "
        f'ParticipantObjectTypeCode="{each.type}" ParticipantObjectTypeCodeRole="{each.role}">',
        _coded("ParticipantObjectIDTypeCode", each.id_type),
    ]
    details = each.details
    if each.query is None:
        parts.append(f"<ParticipantObjectName>{_content(each.name)}</ParticipantObjectName>")
    else:
        told = each.query[:QUERY_LENGTH_MAX_BYTES]
        if len(told) < len(each.query):
            details = (*details, (TRUNCATED, f"{len(each.query)} bytes".encode()))
        parts.append(f"<ParticipantObjectQuery>{b64encode(told).decode()}</ParticipantObjectQuery>")
    for name, value in details:
        encoded = b64encode(value[:TEXT_LENGTH_MAX]).decode()
        parts.append(f'<ParticipantObjectDetail type={_attribute(name)} value="{encoded}"/>')
    parts.append(_description(each))
    parts.append("</ParticipantObjectIdentification>")
    return "".join(parts)


def _description(each: AuditObject) -> str:
    if not (each.sop_classes or each.accession_numbers or each.step_uids):
        return ""
    parts = [f"<MPPS UID={_attribute(uid)}/>" for uid in each.step_uids]
    parts += (f"<Accession Number={_attribute(number)}/>" for number in each.accession_numbers)
    told = each.sop_classes[:SOP_CLASSES_MAX]
    parts += (f'<SOPClass UID={_attribute(uid)} NumberOfInstances="{count}"/>' for uid, count in told)
    rest = sum(count for _, count in each.sop_classes[SOP_CLASSES_MAX:])
    if rest or not told:  # Required where any of the others is there: "SOPClass MC"
        parts.append(f'<SOPClass NumberOfInstances="{rest}"/>')
    return f"<ParticipantObjectDescription>{''.join(parts)}</ParticipantObjectDescription>"


def _coded(element: str, code: Code) -> str:
    return (
        f'<{element} csd-code="{code.value}" codeSystemName="{code.system}" originalText="{code.meaning}"/>'
    )


def _attribute(text: str) -> str:
    return f'"{_content(text).replace(chr(34), "&quot;").translate(_SPACES)}"'


def _content(text: str) -> str:
    return _harmless(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _harmless(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text[:TEXT_LENGTH_MAX])
