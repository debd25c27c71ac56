"""Messages of every kind: valid by the schema of PS3.15 A.5.1, and as the table of their kind says."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medserver.audit import KINDS, Actor, AuditEvent, Participant, Source, codes, events, rows_of
from medserver.audit.kinds import problems_of
from medserver.audit.message import MESSAGE_SIZE_MAX_BYTES, QUERY_LENGTH_MAX_BYTES
from tests.audit import schema

NODE = Actor("MEDSERVER", "archive", "4711")
CT = Actor("CT1", "192.0.2.7")
ALICE = Actor(address="desk", user="alice@desk")
BOB = Actor("WS1", "2001:db8::1", user="bob@ward", certificate="sha256:00")
PATIENT = events.Patient("4711", "Doe^Jane")
STUDY = events.Study("1.2.3", {"1.2.840.10008.5.1.4.1.1.2": 3}, "A1")
AT = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
SOURCE = Source("MEDSERVER", "Ward 7")

EVENTS: dict[str, AuditEvent] = {
    "start": events.application_activity(NODE, ALICE, starts=True),
    "stop": events.application_activity(NODE, None, starts=False),
    "log used": events.audit_log_used(ALICE, "sqlite:///index.db"),
    "begin": events.begin_transferring(NODE, CT, PATIENT, [STUDY], BOB),
    "sent": events.instances_transferred(NODE, CT, PATIENT, [STUDY], NODE),
    "received": events.instances_transferred(CT, NODE, PATIENT, [STUDY], CT, action="C"),
    "not received": events.instances_transferred(
        CT, NODE, events.Patient(), [events.Study("")], CT, action="C", outcome=8, description="<refused> & more"
    ),
    "accessed": events.instances_accessed(ALICE, "D", PATIENT, [STUDY]),
    "deleted": events.study_deleted(BOB, PATIENT, [STUDY, replace(STUDY, study_instance_uid="1.2.4")]),
    "film": events.data_export(NODE, CT, "Film at imager", codes.FILM, [PATIENT], [STUDY]),
    "film of nobody": events.data_export(NODE, NODE, "Film at imager", codes.PAPER, [], []),
    "query": events.query(CT, NODE, "1.2.840.10008.5.1.4.1.2.2.1", b"\0\xff", "1.2.840.10008.1.2"),
    "alert": events.security_alert(NODE, codes.NODE_AUTHENTICATION, "192.0.2.7", "rejected", performers=[CT]),
    "configuration": events.security_alert(
        NODE, codes.SOFTWARE_CONFIGURATION, "file:///config.ini", "changed", outcome=0, is_node=False
    ),
    "login": events.user_authentication(BOB, NODE),
    "failed login": events.user_authentication(BOB, NODE, outcome=4, description="wrong password"),
    "work item": events.procedure_record(CT, "C", PATIENT, [events.Study("1.2.3", step_uids=("1.2.9",))]),
}


def message_of(event: AuditEvent, at: datetime = AT) -> str:
    [row] = rows_of([event], at, SOURCE)
    return row.message


@pytest.mark.parametrize("name", EVENTS)
def test_a_message_is_valid_and_as_its_table_says(name: str) -> None:
    event = EVENTS[name]
    assert problems_of(event) == []
    message = schema.parsed(message_of(event))
    kind = KINDS[event.kind]
    identification = message.find("EventIdentification")
    assert identification.find("EventID").get("csd-code") == kind.event.value
    assert identification.get("EventActionCode") == event.action
    assert identification.get("EventOutcomeIndicator") == str(event.outcome)
    assert identification.get("EventDateTime") == "2026-11-30T12:00:00.123Z"
    assert message.find("AuditSourceIdentification").attrib == {
        "AuditEnterpriseSiteID": "Ward 7", "AuditSourceID": "MEDSERVER",
    }  # fmt: skip


def test_there_is_an_event_of_each_kind() -> None:
    assert {event.kind for event in EVENTS.values()} == set(KINDS)


def test_the_codes_are_those_of_the_standard() -> None:
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts

    known = {
        value: meaning[0]
        for context_group in range(400, 406)
        for name in cid_concepts[context_group]["DCM"]
        for value, meaning in concepts["DCM"][name].items()
    }
    ours = [each for each in vars(codes).values() if isinstance(each, codes.Code) and each.system == "DCM"]
    assert len(ours) > 30
    assert {each.value: each.meaning for each in ours} == {each.value: known[each.value] for each in ours}


def test_who_sent_and_who_received() -> None:
    message = schema.parsed(message_of(EVENTS["received"]))
    source, destination = message.findall("ActiveParticipant")
    assert source.attrib == {
        "UserID": "CT1", "AlternativeUserID": "AETITLES=CT1", "UserIsRequestor": "true",
        "NetworkAccessPointID": "192.0.2.7", "NetworkAccessPointTypeCode": "2",
    }  # fmt: skip
    assert source.find("RoleIDCode").get("csd-code") == "110153"
    assert destination.attrib == {
        "UserID": "4711", "AlternativeUserID": "AETITLES=MEDSERVER", "UserIsRequestor": "false",
        "NetworkAccessPointID": "archive", "NetworkAccessPointTypeCode": "1",
    }  # fmt: skip
    assert destination.find("RoleIDCode").get("csd-code") == "110152"


def test_a_third_one_is_the_requestor_and_the_person_behind_it() -> None:
    message = schema.parsed(message_of(EVENTS["begin"]))
    found = [(each.get("UserID"), each.get("UserIsRequestor")) for each in message.findall("ActiveParticipant")]
    assert found == [("4711", "false"), ("CT1", "false"), ("WS1", "false"), ("bob@ward", "true")]


def test_counts_by_sop_class_and_the_patient() -> None:
    study, patient = schema.parsed(message_of(EVENTS["received"])).findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert study.find("ParticipantObjectDescription/Accession").get("Number") == "A1"
    assert study.find("ParticipantObjectDescription/SOPClass").get("NumberOfInstances") == "3"
    assert patient.get("ParticipantObjectID") == "4711"
    assert patient.find("ParticipantObjectName").text == "Doe^Jane"


def test_a_query_with_its_transfer_syntax() -> None:
    [queried] = schema.parsed(message_of(EVENTS["query"])).findall("ParticipantObjectIdentification")
    assert b64decode(queried.find("ParticipantObjectQuery").text) == b"\0\xff"
    detail = queried.find("ParticipantObjectDetail")
    assert (detail.get("type"), b64decode(detail.get("value"))) == ("TransferSyntax", b"1.2.840.10008.1.2")


def test_of_a_long_query_the_beginning_is_told_and_its_length() -> None:
    event = events.query(CT, NODE, "1.2", b"x" * 1_000_000, "1.2.840.10008.1.2")
    [queried] = schema.parsed(message_of(event)).findall("ParticipantObjectIdentification")
    assert len(b64decode(queried.find("ParticipantObjectQuery").text)) == QUERY_LENGTH_MAX_BYTES
    details = {each.get("type"): b64decode(each.get("value")) for each in queried.findall("ParticipantObjectDetail")}
    assert details["Truncated"] == b"1000000 bytes"


def test_many_studies_are_told_in_several_messages() -> None:
    studies = [events.Study(f"1.2.{number}", {f"1.3.{each}": 1 for each in range(20)}) for number in range(100)]
    rows = rows_of([events.instances_accessed(ALICE, "D", PATIENT, studies)], AT, SOURCE)
    assert len(rows) > 5
    told = []
    for row in rows:
        objects = schema.parsed(row.message).findall("ParticipantObjectIdentification")
        told += [each.get("ParticipantObjectID") for each in objects if each.get("ParticipantObjectTypeCode") == "2"]
        assert objects[-1].get("ParticipantObjectID") == "4711", "each names the patient"
    assert told == [each.study_instance_uid for each in studies]


def test_more_sop_classes_than_fit_are_counted_together() -> None:
    study = events.Study("1.2", {f"1.3.{number}": 2 for number in range(100)})
    message = schema.parsed(message_of(events.instances_accessed(ALICE, "R", PATIENT, [study])))
    assert sum(int(each.get("NumberOfInstances")) for each in message.iter("SOPClass")) == 200


def test_the_moment_is_told_in_utc() -> None:
    there = datetime(2026, 11, 30, 14, tzinfo=timezone(timedelta(hours=2)))
    message = schema.parsed(message_of(EVENTS["start"], there))
    assert message.find("EventIdentification").get("EventDateTime") == "2026-11-30T12:00:00.000Z"


TEXTS = st.text(alphabet=st.characters(), max_size=600)


@settings(max_examples=60, deadline=None)
@given(title=TEXTS, address=TEXTS, user=TEXTS, uid=TEXTS, name=TEXTS, why=TEXTS)
def test_whatever_peers_say_the_message_is_valid(title, address, user, uid, name, why) -> None:
    actor = Actor(title, address, user=user, certificate=name)
    studies = [events.Study(uid, {uid: 1}, name)] * 40
    patients = [events.Patient(name, title)] * 40
    for event in (
        events.instances_transferred(actor, NODE, events.Patient(name, title), studies, actor, description=why),
        events.security_alert(NODE, codes.NODE_AUTHENTICATION, address, why, performers=[actor]),
        events.data_export(NODE, actor, name, codes.FILM, patients, studies, description=why),
        events.query(actor, NODE, uid, why.encode("utf-8", "replace") * 100, name, description=why),
    ):
        assert problems_of(event) == []
        for row in rows_of([event], AT, SOURCE):
            assert schema.problems_of(row.message) == []
            assert len(row.message.encode()) <= MESSAGE_SIZE_MAX_BYTES


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (replace(EVENTS["begin"], action="C"), "action C"),
        (replace(EVENTS["alert"], type=None), "event type None"),
        (replace(EVENTS["start"], type=codes.LOGIN), "event type"),
        (replace(EVENTS["begin"], objects=EVENTS["begin"].objects[:1]), "0 objects of Patient Number"),
        (replace(EVENTS["sent"], participants=EVENTS["sent"].participants[:1]), "0 participants"),
        (replace(EVENTS["log used"], participants=(Participant("x", is_requestor=True),) * 2), "several requestors"),
        (replace(EVENTS["query"], objects=(replace(EVENTS["query"].objects[0], query=None),)), "lacks its query"),
    ],
)
def test_what_the_standard_does_not_allow_is_noticed(event: AuditEvent, problem: str) -> None:
    assert any(problem in each for each in problems_of(event))
