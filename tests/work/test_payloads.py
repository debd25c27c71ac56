"""Payloads of jobs are typed records with a version, and read what older versions wrote."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import medserver
from medserver.archive.payloads import DecisionPayload, FilePayload, ReceiptPayload, RemovalPayload, RetirementPayload
from medserver.index import Job
from medserver.index.jobs.payloads import NoPayload, Payload
from medserver.index.jobs.records import NewJob
from medserver.routing.deliveries import CONFIRM, DELIVER, HOLD, NOTIFY, Delivery
from medserver.safekeeping.adoption import AdoptionPayload
from medserver.safekeeping.deletion import DeletionPayload
from medserver.work.kinds import JOB_KINDS

RECORDS = sorted({kind.payload for kind in JOB_KINDS}, key=lambda record: record.__name__)
KEY = ("1.2", "ab", "1.2.840.10008.1.2")


def job_of(payload: dict[str, Any], kind: str = "k") -> Job:
    now = datetime.now(UTC)
    return Job(7, kind, "", "", payload, 1, "waiting", 0, now, now, None, None, None)


@dataclass(frozen=True, slots=True)
class Later(Payload):
    """A record that once had another name for its field."""

    VERSION = 3
    path: str = "default"

    @classmethod
    def upgraded(cls, version: int, values: dict[str, Any]) -> dict[str, Any]:
        return {"path": f"{values['file']} of version {version}"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_what_is_written_is_read(record: type[Payload]) -> None:
    special: dict[str, Any] = {"commitment": 4, "objects": (KEY, KEY), "object": KEY, "note": {"a": [1]}}
    special |= {"surplus": (("p", *KEY),), "paths": ("p", "q"), "ordered": ("by", "why"), "looks": 2, "sends": 3}
    payload = record(**{each.name: special.get(each.name, f"<{each.name}>") for each in fields(record)})
    text = NewJob("k", payload).payload_text()
    assert json.loads(text)["version"] == record.VERSION
    assert record.of(job_of(json.loads(text))) == payload


def test_what_has_its_default_is_left_out() -> None:
    assert FilePayload("p").as_mapping() == {"version": 1, "path": "p"}
    assert NoPayload().as_mapping() == {"version": 1}


def test_an_older_version_is_upgraded_and_a_newer_one_refused() -> None:
    assert Later.of(job_of({"file": "a"})) == Later("a of version 0")
    assert Later.of(job_of({"version": 2, "file": "a"})) == Later("a of version 2")
    assert Later.of(job_of({"version": 3})) == Later()
    assert FilePayload.of(job_of({"path": "p", "noted": 1})) == FilePayload("p")  # version 0 took no notice of it
    with pytest.raises(ValueError, match="job 7 of kind k cannot be read"):
        FilePayload.of(job_of({"version": 1, "path": "p", "noted": 1}))
    with pytest.raises(ValueError, match="job 7 was added by a newer medserver"):
        Later.of(job_of({"version": 4}))
    with pytest.raises(ValueError, match="job 7 of kind k cannot be read"):
        Later.of(job_of({"version": 3, "file": "a"}))


@pytest.mark.parametrize(
    ("kind", "payload", "record"),
    [
        (HOLD, {"sop_instance_uid": "1", "route": "r", "study_instance_uid": "2", "kind": NOTIFY, "from": "A"},
         Delivery("1", NOTIFY, "r", study_instance_uid="2", sender="A")),
        (HOLD, {"sop_instance_uid": "1", "route": "r", "study_instance_uid": "2"},
         Delivery("1", DELIVER, "r", study_instance_uid="2")),
        (NOTIFY, {"sop_instance_uid": "1", "route": "r", "series_instance_uid": "3"},
         Delivery("1", NOTIFY, "r", series_instance_uid="3")),
        (CONFIRM, {"sop_instance_uid": "1", "route": None, "commitment": 4, "looks": 2},
         Delivery("1", DELIVER, None, sends=1, commitment=4, looks=2)),
        ("route", {"sop_instance_uid": "1", "digest": "ab", "from": "A"}, ReceiptPayload("1", "ab", "A")),
        ("repair", {"path": "p"}, FilePayload("p")),
        ("replicate", {"volume": "v", "path": "p"}, FilePayload("p", "v")),
        ("retire", {}, RetirementPayload()),
        ("retire", {"object": [*KEY]}, RetirementPayload(KEY)),
        ("remove", {"paths": ["p"]}, RemovalPayload(("p",))),
        ("remove", {"surplus": [["p", *KEY]], "where": "v"}, RemovalPayload(surplus=(("p", *KEY),), where="v")),
        ("delete", {"objects": [[*KEY]], "by": "b", "reason": "r"}, DeletionPayload((KEY,), "b", "r")),
        ("delete", {"version": 1, "objects": [[*KEY]], "by": "b", "reason": "r"}, DeletionPayload((KEY,), "b", "r")),
        ("adopt", {"volume": "v", "path": "p", "ordered": ["b", "r"]}, AdoptionPayload("v", "p", ("b", "r"))),
        ("note_decision", {"what": "conflict", "kind": "k"}, DecisionPayload({"what": "conflict", "kind": "k"})),
    ],
)  # fmt: skip
def test_what_waits_through_an_upgrade_is_read(kind: str, payload: dict[str, Any], record: Payload) -> None:
    assert type(record).of(job_of(payload, kind)) == record


def nodes_of_the_program() -> Iterator[tuple[Path, ast.AST]]:
    for path in Path(medserver.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path.relative_to(Path(medserver.__file__).parent), node


def test_payloads_are_read_as_records() -> None:
    """Else what one writes with another version is read as if it had none."""
    may = {"index", "work", "routing", "delivery/outbox.py"}
    assert not [
        f"{path}:{node.lineno}"
        for path, node in nodes_of_the_program()
        if isinstance(node, ast.Attribute) and node.attr == "payload" and not {str(path), *map(str, path.parents)} & may
    ]


def test_nothing_but_records_is_added() -> None:
    """Every payload in the program is a record: no dictionary is given to `NewJob`."""
    loose = []
    for path, call in nodes_of_the_program():
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "NewJob":
            given = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "payload")]
            loose += [f"{path}:{call.lineno}" for each in given if not isinstance(each, ast.Call | ast.Name)]
    assert loose == []
