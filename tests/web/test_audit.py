"""For each thing done by HTTP exactly the expected audit messages, each valid by the schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pydicom
import pytest

from medserver.web.audit import accesses
from tests.peers.files import make_small
from tests.peers.process import wait_until
from tests.trail.messages import described, rows_of
from tests.web.conftest import Web

JSON = {"Accept": "application/dicom+json"}
ANY = {"Accept": "*/*"}
WHO = "who=reader!"


@pytest.fixture(scope="module")
def place(web: Web, tmp_path_factory) -> tuple[Web, str, Path]:
    """A server with an image, its path, and another image."""
    folder = tmp_path_factory.mktemp("images")
    first, other = (sample.path for sample in make_small(folder, 2))
    sent = httpx.post(f"{web.url}/studies", content=first.read_bytes(), headers=_headers(web, "operator", JSON))
    assert sent.status_code == 200
    dataset = pydicom.dcmread(first, stop_before_pixels=True)
    series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    return web, f"{series}/instances/{dataset.SOPInstanceUID}", other


def _headers(web: Web, role: str, accept: dict[str, str]) -> dict[str, str]:
    return web.headers(role, **{"Content-Type": "application/dicom", **accept})


def told(web: Web, act: Callable[[], httpx.Response], count: int) -> list[str]:
    before = len(rows_of(web.node.index))
    act()
    wait_until(lambda: len(rows_of(web.node.index)) >= before + count, what="messages")
    return sorted(described(row.message) for row in rows_of(web.node.index)[before:])


SENT = "from=MEDSERVER to=reader!"
ABOUT = "patient=PHANTOM-2"

CASES = {
    "search": ("/studies?PatientID=PHANTOM-2", JSON, ["query E0 from=reader! to=MEDSERVER query"]),
    "an instance": ("{path}", ANY, [f"begin E0 {SENT} studyx1 {ABOUT}", f"transferred R0 {SENT} studyx1 {ABOUT}"]),
    "metadata": ("{path}/metadata", JSON, [f"accessed R0 {WHO} studyx1 {ABOUT}"]),
    "frames": ("{path}/frames/1", ANY, [f"accessed R0 {WHO} studyx1 {ABOUT}"]),
    "bulk data": ("{path}/bulkdata/7FE00010", ANY, [f"accessed R0 {WHO} studyx1 {ABOUT}"]),
    "a picture": ("{path}/rendered", ANY, [f"accessed R0 {WHO} studyx1 {ABOUT}"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_read(place: tuple[Web, str, Path], case: str) -> None:
    web, path, _ = place
    template, accept, expected = CASES[case]
    accesses.__init__()
    url = web.url + template.format(path=path)
    assert told(web, lambda: httpx.get(url, headers=_headers(web, "reader", accept)), len(expected)) == expected


def test_a_viewer_that_fetches_many_frames_is_told_once(place: tuple[Web, str, Path]) -> None:
    web, path, _ = place
    accesses.__init__()

    def look() -> None:
        for _ in range(5):
            httpx.get(f"{web.url}{path}/frames/1", headers=_headers(web, "reader", ANY))

    assert len(told(web, look, 1)) == 1


def test_what_is_stored(place: tuple[Web, str, Path]) -> None:
    web, _, other = place
    content = other.read_bytes()
    messages = told(
        web, lambda: httpx.post(f"{web.url}/studies", content=content, headers=_headers(web, "operator", JSON)), 1
    )
    assert messages == [f"transferred C0 from=operator! to=MEDSERVER studyx1 {ABOUT}"]


def test_who_is_not_let_in(place: tuple[Web, str, Path]) -> None:
    web, path, other = place
    refused = told(web, lambda: httpx.get(f"{web.url}/studies", headers={**JSON, "Authorization": "Bearer mst_x"}), 1)
    assert len(refused) == 1 and refused[0].startswith("alert(Node Authentication) E4")
    restricted = told(
        web, lambda: httpx.post(f"{web.url}/studies", content=b"x", headers=_headers(web, "reader", JSON)), 1
    )
    assert len(restricted) == 1 and restricted[0].startswith("alert(Use of Restricted Function) E4")
