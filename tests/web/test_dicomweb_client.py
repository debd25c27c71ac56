"""dicomweb-client, unchanged: it stores, finds, retrieves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from tests.conftest import MakeDirectory
from tests.peers.files import Sample, data_set_bytes, make_series, make_small
from tests.web.conftest import Web


@pytest.fixture(scope="module")
def client(web: Web) -> DICOMwebClient:
    """Give a client that may store and read."""
    return DICOMwebClient(url=web.url, headers=web.headers())


@dataclass(frozen=True)
class Stored:
    """What is stored.

    Parameters
    ----------
    samples : list of Sample
        The files.
    datasets : list of Dataset
        What is in them.
    """

    samples: list[Sample]
    datasets: list[Dataset]


@pytest.fixture(scope="module")
def stored(client: DICOMwebClient, make_directory: MakeDirectory) -> Stored:
    """Store a series of three images, and one of two of another study."""
    folder: Path = make_directory("sent")
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    samples = [*make_small(folder / "a", 3), *make_series(folder / "b", 2)]
    datasets = [pydicom.dcmread(sample.path) for sample in samples]
    answer = client.store_instances(datasets)
    assert len(answer.ReferencedSOPSequence) == 5 and "FailedSOPSequence" not in answer
    return Stored(samples, datasets)


def test_instances_come_back_as_they_were(client: DICOMwebClient, stored: Stored) -> None:
    for dataset in stored.datasets:
        uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
        got = client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
        assert got == dataset
    series = client.retrieve_series(stored.datasets[0].StudyInstanceUID, stored.datasets[0].SeriesInstanceUID)
    assert [one.SOPInstanceUID for one in series] == [one.SOPInstanceUID for one in stored.datasets[:3]]
    study = client.retrieve_study(stored.datasets[3].StudyInstanceUID)
    assert {one.SOPInstanceUID for one in study} == {one.SOPInstanceUID for one in stored.datasets[3:]}


def test_studies_are_found(client: DICOMwebClient, stored: Stored) -> None:
    first = stored.datasets[0]
    [found] = client.search_for_studies(search_filters={"PatientID": first.PatientID})
    study = Dataset.from_json(found)
    assert study.StudyInstanceUID == first.StudyInstanceUID and study.PatientName == first.PatientName
    assert study.NumberOfStudyRelatedInstances == 3 and study.ModalitiesInStudy == "MR"
    assert study.RetrieveURL.endswith(f"/studies/{first.StudyInstanceUID}")
    assert len(client.search_for_studies()) == 2
    assert len(client.search_for_studies(limit=1)) == 1
    both = [client.search_for_studies(limit=1, offset=offset)[0]["0020000D"]["Value"][0] for offset in (0, 1)]
    assert len(set(both)) == 2
    assert client.search_for_studies(offset=2) == []
    assert client.search_for_studies(search_filters={"PatientName": "Nobody*"}) == []


def test_series_and_instances_are_found(client: DICOMwebClient, stored: Stored) -> None:
    first = stored.datasets[0]
    [series] = client.search_for_series(first.StudyInstanceUID)
    assert series["0020000E"]["Value"] == [first.SeriesInstanceUID] and series["00201209"]["Value"] == [3]
    assert "00100010" not in series
    assert len(client.search_for_series()) == 2
    instances = client.search_for_instances(first.StudyInstanceUID, first.SeriesInstanceUID)
    assert {one["00080018"]["Value"][0] for one in instances} == {one.SOPInstanceUID for one in stored.datasets[:3]}
    assert all(one["00280010"]["Value"] == [64] and "00080060" not in one for one in instances)
    everything = client.search_for_instances(search_filters={"Modality": "CT"})
    assert len(everything) == 2 and all("0020000D" in one and "00080060" in one for one in everything)


def test_metadata_is_what_is_stored(client: DICOMwebClient, stored: Stored) -> None:
    first = stored.datasets[0]
    documents = client.retrieve_series_metadata(first.StudyInstanceUID, first.SeriesInstanceUID)
    assert len(documents) == 3
    for document, dataset in zip(documents, stored.datasets[:3], strict=True):
        place = document.pop("7FE00010")
        assert place["BulkDataURI"].endswith(f"/instances/{dataset.SOPInstanceUID}/bulkdata/7FE00010")
        document.pop("00083002"), document.pop("00080005", None)
        got, expected = Dataset.from_json(document), Dataset(dataset)
        del expected.PixelData
        expected.pop("SpecificCharacterSet", None)
        assert {each.tag: each.value for each in got} == {each.tag: each.value for each in expected}


def test_bytes_are_those_that_were_sent(web: Web, client: DICOMwebClient, stored: Stored) -> None:
    """Every byte of the data set."""
    for sample, dataset in zip(stored.samples, stored.datasets, strict=True):
        series = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        path = f"{series}/instances/{dataset.SOPInstanceUID}"
        answer = httpx.get(web.url + path, headers=web.headers(Accept="application/dicom; transfer-syntax=*"))
        assert answer.status_code == 200 and int(answer.headers["content-length"]) == len(answer.content)
        received = Path(sample.path).with_suffix(".got")
        received.write_bytes(answer.content)
        assert data_set_bytes(received) == data_set_bytes(sample.path)
