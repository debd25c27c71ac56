"""Frames and bulk data: against pydicom, in every kind of pixels and several transfer syntaxes."""

from __future__ import annotations

import io
from collections.abc import Callable

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless, generate_uid

from tests import multiframe
from tests.peers.files import make_small
from tests.services import corpus
from tests.web.conftest import Web

OCTETS = 'multipart/related; type="application/octet-stream"'


@pytest.fixture(scope="module")
def client(web: Web) -> DICOMwebClient:
    """Give a client that may store and read."""
    return DICOMwebClient(url=web.url, headers=web.headers())


def path_of(dataset: Dataset) -> str:
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    )


@pytest.fixture(scope="module")
def put(client: DICOMwebClient, web: Web) -> Callable[[Dataset], Dataset]:
    """Give a function that stores an object."""

    def stored(dataset: Dataset) -> Dataset:
        if not hasattr(dataset, "file_meta"):
            dataset.preamble = bytes(128)
            dataset.file_meta = corpus.file_meta(ExplicitVRLittleEndian)
            dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        answer = client.store_instances([dataset])
        assert "FailedSOPSequence" not in answer, answer
        return dataset

    return stored


def ask(web: Web, path: str, accept: str = OCTETS) -> httpx.Response:
    return httpx.get(web.url + path, headers=web.headers("reader", Accept=accept))


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Return Content-Type and bytes of each part."""
    assert answer.status_code == 200, answer.text
    boundary = answer.headers["content-type"].rpartition("boundary=")[2].encode()
    found = []
    for part in answer.content.split(b"--" + boundary)[1:-1]:
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found.append((head.decode().removeprefix("Content-Type: "), body.removesuffix(b"\r\n")))
    return found


@pytest.fixture(scope="module")
def cine(put) -> Dataset:
    """Ten frames."""
    return put(multiframe.cine())


def test_frames_in_the_order_that_is_asked_for(web: Web, cine: Dataset) -> None:
    pixels = cine.pixel_array
    found = parts(ask(web, f"{path_of(cine)}/frames/1,3,3,2"))
    assert {kind for kind, _ in found} == {f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"}
    assert [body for _, body in found] == [pixels[number - 1].tobytes() for number in (1, 3, 3, 2)]


def test_with_dicomweb_client(client: DICOMwebClient, cine: Dataset) -> None:
    uids = cine.StudyInstanceUID, cine.SeriesInstanceUID, cine.SOPInstanceUID
    got = client.retrieve_instance_frames(*uids, frame_numbers=[2, 5])
    assert got == [cine.pixel_array[1].tobytes(), cine.pixel_array[4].tobytes()]
    [metadata] = client.retrieve_series_metadata(*uids[:2])
    place = metadata["7FE00010"]["BulkDataURI"]
    assert client.retrieve_bulkdata(place) == [each.tobytes() for each in cine.pixel_array]


@pytest.mark.parametrize(
    ("suffix", "code"),
    [("/frames/0", 400), ("/frames/11", 404), ("/frames/1,11", 404), ("/frames/x", 400), ("/frames/1,", 400),
     ("/frames/-1", 400), ("/frames/99999999999", 400), ("/bulkdata/00100010", 200), ("/bulkdata/00091001", 404),
     ("/bulkdata/x", 404), ("/bulkdata/7FE00008", 404)],
)  # fmt: skip
def test_what_there_is_not(web: Web, cine: Dataset, suffix: str, code: int) -> None:
    assert ask(web, path_of(cine) + suffix).status_code == code


def test_frames_of_bits_begin_with_a_byte_each(web: Web, put) -> None:
    dataset, cells = multiframe.bits()
    put(dataset)
    found = parts(ask(web, f"{path_of(dataset)}/frames/1,2,7"))
    for (_, body), number in zip(found, (1, 2, 7), strict=True):
        unpacked = np.unpackbits(np.frombuffer(body, np.uint8), bitorder="little")
        frame = np.asarray(cells[number - 1]).ravel()
        assert len(body) == (frame.size + 7) // 8
        assert (unpacked[: frame.size] == frame).all() and not unpacked[frame.size :].any()


@pytest.fixture(scope="module")
def compressed(put, tmp_path_factory) -> tuple[Dataset, Dataset]:
    """An image in JPEG 2000, and what it is uncompressed."""
    plain = pydicom.dcmread(make_small(tmp_path_factory.mktemp("j2k"))[0].path)
    dataset = pydicom.dcmread(io.BytesIO(_bytes(plain)))
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    return put(dataset), plain


def _bytes(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def test_what_is_stored_compressed_is_sent_as_is_asked_for(web: Web, compressed) -> None:
    dataset, plain = compressed
    frame = next(generate_frames(dataset.PixelData))
    path = f"{path_of(dataset)}/frames/1"
    of = {
        OCTETS: (ExplicitVRLittleEndian, plain.PixelData),
        f"{OCTETS}; transfer-syntax=*": (JPEG2000Lossless, frame),
        f"{OCTETS}; transfer-syntax={JPEG2000Lossless}": (JPEG2000Lossless, frame),
        'multipart/related; type="image/jp2"': (JPEG2000Lossless, frame),
        'multipart/related; type="image/jp2", multipart/related; type="image/jls"': (JPEG2000Lossless, frame),
    }
    for accept, (syntax, expected) in of.items():
        [(kind, body)] = parts(ask(web, path, accept))
        assert kind.endswith(f"transfer-syntax={syntax}") and body.rstrip(b"\0") == expected.rstrip(b"\0"), accept
    [(kind, body)] = parts(ask(web, path, 'multipart/related; type="image/dicom-rle"'))
    assert kind == f"image/dicom-rle; transfer-syntax={RLELossless}" and body != frame
    assert ask(web, path, 'multipart/related; type="image/jpeg"').status_code == 406
    assert ask(web, path, f"{OCTETS}; transfer-syntax=1.2.3").status_code == 406


def test_instances_are_transcoded(web: Web, compressed) -> None:
    dataset, plain = compressed
    for accept, syntax in {
        "application/dicom": ExplicitVRLittleEndian,
        "application/dicom; transfer-syntax=*": JPEG2000Lossless,
        f"application/dicom; transfer-syntax={RLELossless}": RLELossless,
    }.items():
        answer = ask(web, path_of(dataset), accept)
        assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
        assert int(answer.headers["content-length"]) == len(answer.content)
        got = pydicom.dcmread(io.BytesIO(answer.content))
        assert got.file_meta.TransferSyntaxUID == syntax
        assert (got.pixel_array == plain.pixel_array).all()
    assert ask(web, path_of(dataset), "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.100").status_code == 406


def test_a_long_value_is_told_by_where_it_is(web: Web, put, tmp_path) -> None:
    dataset = pydicom.dcmread(make_small(tmp_path)[0].path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    block = dataset.private_block(0x0009, "MEDSERVER TEST", create=True)
    block.add_new(0x01, "OB", bytes(range(256)) * 8)
    block.add_new(0x02, "OB", b"short ")
    put(dataset)
    [metadata] = ask(web, f"{path_of(dataset)}/metadata", "application/dicom+json").json()
    assert metadata["00091002"] == {"vr": "OB", "InlineBinary": "c2hvcnQg"}
    place = metadata["00091001"]["BulkDataURI"].removeprefix(web.url)
    assert [body for _, body in parts(ask(web, place))] == [bytes(range(256)) * 8]
    assert ask(web, place, "application/octet-stream").content == bytes(range(256)) * 8


def test_pictures(web: Web, cine: Dataset) -> None:
    from PIL import Image

    path = path_of(cine)
    for suffix, accept, form in (
        ("/rendered", "image/jpeg", "JPEG"), ("/rendered", "*/*", "JPEG"), ("/rendered", "image/png", "PNG"),
        ("/frames/3/rendered", "image/png", "PNG"), ("/thumbnail", "image/*", "JPEG"),
        ("/rendered?viewport=20,40&window=100,200,linear&quality=50", "image/jpeg", "JPEG"),
    ):  # fmt: skip
        answer = ask(web, path + suffix, accept)
        assert answer.status_code == 200, answer.text
        assert Image.open(io.BytesIO(answer.content)).format == form
    first, third = (ask(web, f"{path}/frames/{number}/rendered", "image/png").content for number in (1, 3))
    assert first != third
    study = f"/studies/{cine.StudyInstanceUID}/thumbnail"
    assert max(Image.open(io.BytesIO(ask(web, study, "image/jpeg").content)).size) == 128


@pytest.mark.parametrize(
    ("suffix", "code"),
    [("/rendered?window=1,2", 400), ("/rendered?window=1,0,linear", 400), ("/rendered?window=1,2,cubic", 400),
     ("/rendered?viewport=0,5", 400), ("/rendered?viewport=99999,5", 400), ("/rendered?viewport=5,5,0,0,2,2", 400),
     ("/rendered?quality=101", 400), ("/frames/11/rendered", 406), ("/frames/0/rendered", 404),
     ("/frames/1,2/rendered", 400)],
)  # fmt: skip
def test_pictures_that_there_are_not(web: Web, cine: Dataset, suffix: str, code: int) -> None:
    answer = ask(web, path_of(cine) + suffix, "image/png")
    assert answer.status_code == code, answer.text
