"""Storing by HTTP: what is stored, what is refused and why, and that one does not take the others along."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from medserver.web.multipart import Part, content_type, written
from tests.peers.files import make_small
from tests.web.conftest import Web

JSON = "application/dicom+json"
BOUNDARY = "0123456789"

Make = Callable[..., bytes]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Give a function that makes a file with a UID of its own, and some attributes changed."""
    template = make_small(tmp_path)[0].path

    def made(**changes: object) -> bytes:
        dataset = pydicom.dcmread(template)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        for keyword, value in changes.items():
            setattr(dataset if keyword in dataset else dataset.file_meta, keyword, value)
        file = io.BytesIO()
        dataset.save_as(file)
        return file.getvalue()

    return made


def payload(parts: Sequence[bytes | Part]) -> bytes:
    return b"".join(written(
        (each if isinstance(each, Part) else Part("application/dicom", [each]) for each in parts), BOUNDARY
    ))  # fmt: skip


def post(web: Web, body: bytes, *, path: str = "/studies", kind: str = "", **headers: str) -> httpx.Response:
    kind = kind or content_type("application/dicom", BOUNDARY)
    given = {"Accept": JSON, "Content-Type": kind, **headers}
    return httpx.post(web.url + path, content=body, headers=web.headers("operator", **given))


def uid_of(file: bytes) -> str:
    return pydicom.dcmread(io.BytesIO(file)).SOPInstanceUID


def results(answer: httpx.Response) -> tuple[list[str], list[tuple[str, int]]]:
    """Return the UIDs of what is stored, and UIDs and Failure Reasons of the rest."""
    content = answer.json()

    def uid(item: dict) -> str:
        return item["00081155"].get("Value", [""])[0]

    stored = [uid(item) for item in content.get("00081199", {}).get("Value", [])]
    return stored, [(uid(item), item["00081197"]["Value"][0]) for item in content.get("00081198", {}).get("Value", [])]


def test_all_are_stored(web: Web, make: Make) -> None:
    files = [make(), make()]
    answer = post(web, payload(files))
    assert answer.status_code == 200 and results(answer) == ([uid_of(one) for one in files], [])
    item = answer.json()["00081199"]["Value"][0]
    assert httpx.get(item["00081190"]["Value"][0], headers=web.headers(Accept="*/*")).status_code == 200
    again = post(web, payload(files))
    assert again.status_code == 200 and results(again) == results(answer)


def test_one_alone(web: Web, make: Make) -> None:
    file = make()
    answer = post(web, file, kind="application/dicom")
    assert answer.status_code == 200 and results(answer) == ([uid_of(file)], [])


def test_one_that_is_refused_does_not_take_the_others_along(web: Web, make: Make) -> None:
    good, other = make(), make()
    wrong_uid = make(MediaStorageSOPInstanceUID="1.2.3")
    unknown_class = make(MediaStorageSOPClassUID="1.2.3.4")
    unknown_syntax = make().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    parts = [good, b"not DICOM", b"", wrong_uid, unknown_class, unknown_syntax, Part("text/plain", [b"x"]), other]
    answer = post(web, payload(parts))
    stored, failed = results(answer)
    assert answer.status_code == 202 and stored == [uid_of(good), uid_of(other)]
    assert failed == [
        ("", 0xC000), ("", 0xC000), ("1.2.3", 0xA900), (uid_of(unknown_class), 0x0122),
        (uid_of(unknown_syntax), 0xC122), ("", 0x0110),
    ]  # fmt: skip


def test_none_is_stored(web: Web) -> None:
    answer = post(web, payload([b"not DICOM"]))
    assert answer.status_code == 409 and results(answer) == ([], [("", 0xC000)])


def test_of_another_study_than_the_path_names(web: Web, make: Make) -> None:
    file, other = make(), make(StudyInstanceUID="1.2.99")
    answer = post(web, payload([file, other]), path="/studies/1.2.99")
    assert answer.status_code == 202 and results(answer) == ([uid_of(other)], [(uid_of(file), 0xA900)])


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', b"--x--", 415),
        ('multipart/related; type="application/dicom"', b"--x--", 400),
        ('multipart/related; type="application/dicom"; boundary=x', b"", 400),
        ('multipart/related; type="application/dicom"; boundary=x', b"--x--", 400),
        ("rubbish", b"", 415),
        ("application/dicom", b"", 409),
    ],
)
def test_what_is_no_payload(web: Web, kind: str, body: bytes, code: int) -> None:
    assert post(web, body, kind=kind).status_code == code


def test_a_boundary_with_quotes(web: Web, make: Make) -> None:
    kind = f'multipart/related; boundary="{BOUNDARY}"; type=application/dicom'
    assert post(web, payload([make()]), kind=kind).status_code == 200


def test_a_payload_that_breaks_off_tells_what_is_stored(web: Web, make: Make) -> None:
    file = make()
    answer = post(web, payload([file, make()])[:-2000])
    assert answer.status_code == 202 and results(answer)[0] == [uid_of(file)]
    assert "the payload ends within a part" in answer.headers["warning"]


def test_a_user_agent_that_goes_away_leaves_nothing_half(web: Web, make: Make) -> None:
    """What had come whole is stored; of the rest nothing is left."""
    import socket

    from tests.archive.conftest import unfinished
    from tests.peers.process import wait_until

    file, half = make(), make()
    body = payload([file, half])
    with socket.create_connection(("127.0.0.1", web.port)) as sock:
        head = (
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nAccept: {JSON}\r\n"
            f"Authorization: Bearer {web.tokens['operator']}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: {content_type('application/dicom', BOUNDARY)}\r\n\r\n"
        )
        sock.sendall(head.encode() + body[: len(body) - 3000])
        wait_until(lambda: _is_there(web, uid_of(file)), what="the first instance")
    wait_until(lambda: unfinished(web.node) == [], what="the end of the second")
    assert not _is_there(web, uid_of(half))


def _is_there(web: Web, uid: str) -> bool:
    return httpx.get(f"{web.url}/instances?SOPInstanceUID={uid}", headers=web.headers(Accept=JSON)).status_code == 200
