"""Work items over HTTP: the operations and the table that DIMSE has."""

from __future__ import annotations

import itertools
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import data_set
from medserver.workitems.outcomes import (
    CANCELED,
    COMPLETED,
    IN_PROGRESS,
    OPERATION_OF_STATE,
    OUTCOMES,
    SCHEDULED,
    STATES,
    TABLE,
    UNKNOWN,
    Given,
    Remark,
)
from medserver.workitems.states import change_state
from medserver.workitems.updating import update
from tests.web.conftest import Web
from tests.workitems.samples import brought_to, new_item, performed

JSON = "application/dicom+json"


def call(web: Web, method: str, path: str, content: Any = None, **others: Any) -> httpx.Response:
    headers = web.headers(Accept=JSON) | ({} if content is None else {"Content-Type": JSON})
    return httpx.request(method, web.url + path, headers=headers, json=content, **others)


def created(web: Web, **changes: Any) -> str:
    uid = str(generate_uid())
    answer = call(web, "POST", f"/workitems?{uid}", [new_item(**changes)])
    assert answer.status_code == 201 and answer.headers["location"] == f"{web.url}/workitems/{uid}", answer.text
    return uid


def state(web: Web, uid: str, name: str, transaction: str, suffix: str = "") -> httpx.Response:
    content = data_set(ProcedureStepState=name, TransactionUID=transaction)
    return call(web, "PUT", f"/workitems/{uid}/state{suffix}", content)


def told(web: Web, uid: str) -> Dataset:
    [found] = call(web, "GET", f"/workitems/{uid}").json()
    return Dataset.from_json(found)


def test_an_item_from_its_creation_to_its_end(web: Web) -> None:
    uid, transaction = created(web), str(generate_uid())
    assert told(web, uid).ProcedureStepState == SCHEDULED and told(web, uid).PatientName == "Doe^Jane"
    assert state(web, uid, IN_PROGRESS, transaction, "/AI1").status_code == 200
    changed = call(web, "POST", f"/workitems/{uid}?{transaction}", performed())
    assert changed.status_code == 200, changed.text
    assert state(web, uid, COMPLETED, transaction).status_code == 200
    final = told(web, uid)
    assert final.ProcedureStepState == COMPLETED and "TransactionUID" not in final
    assert final.UnifiedProcedureStepPerformedProcedureSequence[0].PerformedStationNameCodeSequence


def test_what_http_and_dimse_claim_excludes_each_other(web: Web) -> None:
    for first, second in itertools.permutations(("http", "dimse")):
        uid, holders = created(web), {"http": str(generate_uid()), "dimse": str(generate_uid())}
        for each in (first, second):
            if each == "dimse" and first == "dimse":
                change_state(web.node, uid, IN_PROGRESS, holders[each], "AI1")
            elif each == "http":
                answer = state(web, uid, IN_PROGRESS, holders[each])
                assert answer.status_code == (200 if first == "http" else 400), answer.text
        assert told(web, uid).ProcedureStepState == IN_PROGRESS
        update(web.node, uid, data_set(ProcedureStepLabel="Held"), holders[first])


REMARKS = {Remark.ALREADY_CANCELED: "CANCELED", Remark.ALREADY_COMPLETED: "COMPLETED"}


@pytest.mark.parametrize("was", [*STATES, UNKNOWN])
def test_every_cell_of_the_table_of_states(web: Web, was: str) -> None:
    names = {operation: name for name, operation in OPERATION_OF_STATE.items()}
    for (operation, before, given), word in TABLE.items():
        if before != was or operation not in names:
            continue
        transaction = str(generate_uid())
        uid = str(generate_uid())
        if was != UNKNOWN:
            brought_to(web.node, uid, was, transaction)
        if names[operation] == COMPLETED and was == IN_PROGRESS:
            update(web.node, uid, performed(), transaction)
        sent = {Given.RIGHT: transaction, Given.WRONG: str(generate_uid()), Given.MISSING: ""}[given]
        answer = state(web, uid, names[operation], sent)
        outcome = OUTCOMES[word]
        if outcome is None or isinstance(outcome, Remark):
            assert answer.status_code == 200, (operation, was, given, answer.text)
            assert REMARKS.get(outcome, "") in answer.headers.get("warning", "")  # type: ignore[call-overload]
        else:
            expected = {"no_such": 404, "wrong_uid": 400}.get(word, 409)
            assert answer.status_code == expected, (operation, was, given, answer.text)
            assert answer.headers["warning"].startswith(f"299 {web.url} ")


def test_changes_need_the_transaction_uid_and_an_item_that_is_not_final(web: Web) -> None:
    transaction = str(generate_uid())
    label = data_set(ProcedureStepLabel="Other")
    for was, query, expected in (
        (SCHEDULED, "", 200), (IN_PROGRESS, f"?{transaction}", 200), (IN_PROGRESS, "", 400),
        (IN_PROGRESS, f"?transaction-uid={transaction}", 200), (COMPLETED, f"?{transaction}", 400),
    ):  # fmt: skip
        uid = str(generate_uid())
        brought_to(web.node, uid, was, transaction)
        assert call(web, "POST", f"/workitems/{uid}{query}", label).status_code == expected, (was, query)
        assert told(web, uid).ProcedureStepLabel == ("Other" if expected == 200 else "Find nodules")
    assert call(web, "POST", f"/workitems/{generate_uid()}", label).status_code == 404


def test_a_request_to_cancel_with_and_without_reasons(web: Web) -> None:
    reasons = data_set(ReasonForCancellation="The wrong patient")
    for path, content in (("cancelrequest", None), ("cancelrequest/VIEWER", reasons), ("cancelrequest", {})):
        uid = created(web)
        answer = call(web, "POST", f"/workitems/{uid}/{path}", content)
        assert answer.status_code == 202, answer.text
        assert told(web, uid).ProcedureStepState == CANCELED
    again = call(web, "POST", f"/workitems/{uid}/cancelrequest")
    assert again.status_code == 202 and "CANCELED" in again.headers["warning"]
    assert request_cancel(web.node, uid, "VIEWER", {}) is Remark.ALREADY_CANCELED


def test_a_search_in_json_and_xml_and_in_pieces(web: Web) -> None:
    uids = {created(web, WorklistLabel="PIECES", PatientID="P-PIECES") for _ in range(3)}
    found = call(web, "GET", "/workitems?WorklistLabel=PIECES&00741000=SCHEDULED")
    assert {each["00080018"]["Value"][0] for each in found.json()} == uids
    pieces = [call(web, "GET", f"/workitems?PatientID=P-PIECES&limit=2&offset={offset}") for offset in (0, 2)]
    assert [len(each.json()) for each in pieces] == [2, 1]
    assert "offset" in pieces[0].headers["warning"] and "warning" not in pieces[1].headers
    assert {each["00080018"]["Value"][0] for piece in pieces for each in piece.json()} == uids
    assert call(web, "GET", "/workitems?PatientID=NOBODY").status_code == 204
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    answer = httpx.get(f"{web.url}/workitems?PatientID=P-PIECES", headers=web.headers(**accept))
    boundary = answer.headers["content-type"].partition("boundary=")[2].strip('"')
    parts = [part.partition(b"\r\n\r\n")[2] for part in answer.content.split(f"--{boundary}".encode())[1:-1]]
    assert len(parts) == 3 and all(ElementTree.fromstring(part.strip()) is not None for part in parts)


def test_a_uid_is_made_for_an_item_without_one_and_none_is_taken_twice(web: Web) -> None:
    answer = call(web, "POST", "/workitems", new_item())
    uid = answer.headers["location"].rpartition("/")[2]
    assert answer.status_code == 201 and told(web, uid).SOPInstanceUID == uid
    assert call(web, "POST", f"/workitems?workitem={uid}", new_item()).status_code == 409


@pytest.mark.parametrize(
    ("payload", "kind", "expected"),
    [
        (b"{", JSON, 400), (b"[]", JSON, 400), (b"[{}, {}]", JSON, 400), (b"7", JSON, 400), (b"", JSON, 400),
        (b'{"00741204": {"vr": "LO", "Value": "x"}}', JSON, 400), (b'{"x": 1}', JSON, 400),
        (b'{"00404021": {"vr": "SQ", "Value": [7]}}', JSON, 400), (b"[" * 100_000, JSON, 400),
        (b'{"00420011": {"vr": "OB", "BulkDataURI": "file:///etc/passwd"}}', JSON, 400),
        (b"{}", "application/dicom+xml", 415), (b"{}", JSON, 400), (b" " * (9 << 20), JSON, 413),
    ],
    ids=range(13),
)  # fmt: skip
def test_payloads_that_are_no_item_are_refused(web: Web, payload: bytes, kind: str, expected: int) -> None:
    uid = str(generate_uid())
    headers = web.headers(Accept=JSON, **{"Content-Type": kind})
    answer = httpx.post(f"{web.url}/workitems?{uid}", headers=headers, content=payload)
    assert answer.status_code == expected, answer.text
    assert call(web, "GET", f"/workitems/{uid}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "subscribers/NOBODY", 404), ("DELETE", "subscribers/NOBODY", 404),
        ("POST", "subscribers/NOBODY/suspend", 404), ("POST", "subscribers/NOBODY?deletionlock=perhaps", 400),
    ],
)  # fmt: skip
def test_who_cannot_be_called_cannot_be_told(web: Web, method: str, path: str, expected: int) -> None:
    assert call(web, method, f"/workitems/{created(web)}/{path}").status_code == expected
