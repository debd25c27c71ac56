"""Searches: what is understood of their parameters, what is told that is not, what is refused (PS3.18 8.3.4, 10.6)."""

from __future__ import annotations

from xml.etree import ElementTree

import httpx
import pytest

from tests.archive.conftest import receive
from tests.peers.files import make_small
from tests.web.conftest import Web

JSON = "application/dicom+json"
XML = 'multipart/related; type="application/dicom+xml"'
FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


@pytest.fixture(scope="module")
def filled(web: Web, make_directory) -> Web:
    """A server with three studies."""
    for number in range(3):
        folder = make_directory(f"study{number}")
        for sample in make_small(folder, 2, patient_id=f"ID{number}"):
            receive(web.node, sample)
    return web


def ask(web: Web, query: str, accept: str = JSON, path: str = "/studies") -> httpx.Response:
    return httpx.get(f"{web.url}{path}{query}", headers=web.headers("reader", Accept=accept))


def patients(answer: httpx.Response) -> list[str]:
    return [one["00100020"]["Value"][0] for one in answer.json()] if answer.content else []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["ID2", "ID1", "ID0"]),  # what was registered last comes first
        ("?PatientID=ID1", ["ID1"]),
        ("?00100020=ID1", ["ID1"]),
        ("?PatientID=ID*&limit=2", ["ID2", "ID1"]),
        ("?PatientID=ID*&limit=2&offset=1", ["ID1", "ID0"]),
        ("?limit=0", []),
        ("?offset=3", []),
        ("?PatientName=phantom*", ["ID2", "ID1", "ID0"]),
        ("?PatientName=Phantom%5ESmall&PatientID=ID2", ["ID2"]),
        ("?ModalitiesInStudy=MR", ["ID2", "ID1", "ID0"]),
        ("?ModalitiesInStudy=CT", []),
        ("?Modality=MR&limit=1", ["ID2"]),  # of the series: those studies that have one
        ("?StudyDate=19000101-", ["ID2", "ID1", "ID0"]),
        ("?StudyDate=-19000101", []),
        ("?PatientID=", ["ID2", "ID1", "ID0"]),
        ("?StudyInstanceUID=1.2.3,1.2.4", []),
        ("?includefield=all&PatientID=ID0", ["ID0"]),
        ("?RequestAttributesSequence.ScheduledProcedureStepID=X", []),
        ("?00400275.00400009=X", []),
    ],
)
def test_what_is_found(filled: Web, query: str, expected: list[str]) -> None:
    answer = ask(filled, query)
    assert answer.status_code == (200 if expected else 204), answer.text
    assert patients(answer) == expected


@pytest.mark.parametrize(
    "query",
    ["?limit=-1", "?limit=x", "?offset=1.5", "?StudyDate=yesterday", "?StudyDate=20261301", "?PatientID=a\\b",
     "?Rows=many", "?PatientID.PatientName=x", "?StudyInstanceUID=a*b", "?limit=99999999999",
     "?" + "&".join("PatientID=x" for _ in range(201))],
    ids=lambda query: query[:30],
)  # fmt: skip
def test_what_is_refused(filled: Web, query: str) -> None:
    answer = ask(filled, query)
    assert answer.status_code == 400 and answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(answer.text) > 10 and answer.text.count("\n") == 1


@pytest.mark.parametrize(
    ("query", "warning"),
    [
        ("?fuzzymatching=true", FUZZY),
        ("?fuzzymatching=false", None),
        ("?limit=1", "There are more results: ask for them with offset."),
        ("?Foo=1", "The parameter Foo is not supported, and was passed over."),
        ("?includefield=Foo", "includefield Foo is not known, and was passed over."),
        ("?%22%0d%0aX-Evil:%20yes=1", "The parameter X-Evilyes is not supported, and was passed over."),
        ("?emptyvaluematching=true", None),
        ("?includefield=00080060", None),  # viewers ask for it; it is of the series, and is left out
    ],
)
def test_what_is_told_beside_the_matches(filled: Web, query: str, warning: str | None) -> None:
    answer = ask(filled, query)
    assert answer.status_code == 200 and "x-evil" not in answer.headers
    assert answer.headers.get("warning") == (warning and f'299 {filled.url} "{warning}"')
    assert all("00080060" not in one for one in answer.json())


def test_fields_that_are_asked_for(filled: Web) -> None:
    [plain] = ask(filled, "?PatientID=ID0").json()
    [more] = ask(filled, "?PatientID=ID0&includefield=StudyDescription,00081060&includefield=PatientAge").json()
    assert set(more) - set(plain) == {"00081030", "00081060", "00101010"}
    [everything] = ask(filled, "?PatientID=ID0&includefield=all").json()
    assert set(more) < set(everything) and "0008103E" not in everything
    assert list(everything) == sorted(everything)
    of_series = ask(filled, "?PatientID=ID0&includefield=PatientName", path="/series").json()[0]
    assert of_series["00100010"]["Value"] == [{"Alphabetic": "Phantom^Small"}]


def test_as_xml(filled: Web) -> None:
    answer = ask(filled, "?PatientID=ID1", XML)
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom+xml"; boundary=')
    boundary = answer.headers["content-type"].rpartition("=")[2]
    [part] = answer.text.split(f"--{boundary}")[1:-1]
    head, _, document = part.strip().partition("\r\n\r\n")
    assert head == "Content-Type: application/dicom+xml"
    root = ElementTree.fromstring(document)
    values = {
        each.get("keyword"): [value.text for value in each.iter(f"{NATIVE}Value")]
        for each in root.iter(f"{NATIVE}DicomAttribute")
    }
    assert values["PatientID"] == ["ID1"] and values["NumberOfStudyRelatedInstances"] == ["2"]
    name = root.find(f"{NATIVE}DicomAttribute[@keyword='PatientName']/{NATIVE}PersonName/{NATIVE}Alphabetic")
    parts = [(each.tag, each.text) for each in name]
    assert parts == [(f"{NATIVE}FamilyName", "Phantom"), (f"{NATIVE}GivenName", "Small")]


@pytest.mark.parametrize(("accept", "code"), [("text/html", 406), ("application/dicom+json, image/png", 400)])
def test_what_is_not_acceptable(filled: Web, accept: str, code: int) -> None:
    assert ask(filled, "", accept).status_code == code


def test_without_accept(filled: Web) -> None:
    request = httpx.Request("GET", f"{filled.url}/studies", headers=filled.headers())
    request.headers.pop("accept", None)
    with httpx.Client() as client:
        assert client.send(request).status_code == 406
