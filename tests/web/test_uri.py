"""WADO-URI: what WADO-RS sends, asked for by parameters."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from tests.peers.files import make_small
from tests.web.conftest import Web


@pytest.fixture(scope="module")
def asked(web: Web, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("uri")
    path = make_small(folder)[0].path
    dataset = pydicom.dcmread(path)
    headers = web.headers(Accept="application/dicom+json", **{"Content-Type": "application/dicom"})
    assert httpx.post(f"{web.url}/studies", headers=headers, content=path.read_bytes()).status_code == 200
    return {
        "requestType": "WADO", "studyUID": dataset.StudyInstanceUID, "seriesUID": dataset.SeriesInstanceUID,
        "objectUID": dataset.SOPInstanceUID,
    }  # fmt: skip


def get(web: Web, parameters: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{web.url}/wado", params=parameters, headers=web.headers())


def by_path(web: Web, asked: dict[str, str], suffix: str, accept: str) -> httpx.Response:
    study, series, instance = asked["studyUID"], asked["seriesUID"], asked["objectUID"]
    url = f"{web.url}/studies/{study}/series/{series}/instances/{instance}{suffix}"
    return httpx.get(url, headers=web.headers(Accept=accept))


def test_an_instance(web: Web, asked: dict[str, str]) -> None:
    sent = get(web, {**asked, "contentType": "application/dicom"})
    assert sent.status_code == 200 and sent.headers["content-type"].startswith("application/dicom"), sent.text
    assert sent.content == by_path(web, asked, "", "application/dicom").content
    compressed = get(web, {**asked, "contentType": "application/dicom", "transferSyntax": JPEG2000Lossless})
    assert pydicom.dcmread(io.BytesIO(compressed.content)).file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_pictures(web: Web, asked: dict[str, str]) -> None:
    default = get(web, asked)
    assert default.headers["content-type"] == "image/jpeg"
    assert default.content == by_path(web, asked, "/rendered", "image/jpeg").content
    chosen = {"windowCenter": "100", "windowWidth": "50.5", "frameNumber": "1", "imageQuality": "70"}
    png = get(web, {**asked, "contentType": "image/png", **chosen})
    windowed = by_path(web, asked, "/rendered?window=100,50.5,linear&quality=70", "image/png")
    assert png.status_code == 200 and png.content == windowed.content
    whole = Image.open(io.BytesIO(get(web, {**asked, "contentType": "image/png"}).content))
    for side, number in (("rows", 0), ("columns", 1)):
        small = Image.open(io.BytesIO(get(web, {**asked, "contentType": "image/png", side: "16"}).content))
        assert (small.height, small.width)[number] == 16
        assert abs(small.width / small.height - whole.width / whole.height) < 0.1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"requestType": "wado"}, 400), ({"requestType": ""}, 400), ({"objectUID": ""}, 400),
        ({"objectUID": "1.2.3"}, 404), ({"studyUID": "1.2.3"}, 404), ({"seriesUID": "../x"}, 404),
        ({"frameNumber": "2"}, 406), ({"frameNumber": "0"}, 404), ({"frameNumber": "x"}, 400),
        ({"rows": "0"}, 400), ({"rows": "9" * 9}, 400), ({"windowCenter": "1"}, 400),
        ({"windowCenter": "1", "windowWidth": "nan"}, 400), ({"imageQuality": "0"}, 400),
        ({"anonymize": "yes"}, 400), ({"presentationUID": "1.2"}, 400), ({"region": "0,0,1,1"}, 400),
        ({"transferSyntax": JPEG2000Lossless}, 400), ({"contentType": "application/dicom", "rows": "4"}, 400),
        ({"contentType": "application/dicom", "transferSyntax": "1.2.3"}, 406), ({"contentType": "video/mp4"}, 406),
        ({"contentType": "application/dicom", "transferSyntax": '"; q=0, x'}, 406),
    ],
    ids=range(22),
)  # fmt: skip
def test_what_is_refused(web: Web, asked: dict[str, str], changes: dict[str, str], status: int) -> None:
    answer = get(web, {**asked, **changes})
    assert answer.status_code == status, answer.text


def test_a_parameter_twice_is_refused(web: Web, asked: dict[str, str]) -> None:
    parameters = [*asked.items(), ("objectUID", "1.2.3")]
    answer = httpx.get(f"{web.url}/wado", params=parameters, headers=web.headers())
    assert answer.status_code == 400 and "2 times" in answer.text
