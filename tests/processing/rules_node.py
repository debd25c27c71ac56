"""A node with rules by which images are processed, and a worker in this process; nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from medserver import archive
from medserver.archive.fetch import open_object
from medserver.dicom.conditions import SingleValue
from medserver.index import JobFilter
from medserver.node import Node
from medserver.processing.requests import ProcessingRequest, request_of
from medserver.routing.deliveries import DELIVER, REQUEST
from medserver.work.kinds import JOB_KINDS, PERIODIC
from medserver.work.runner import Runner
from medserver.workitems.content import content_of
from medserver.workitems.searching import search

MODALITY, WORKSTATION, RESEARCH = "CT1", "WS1", "RESEARCH"
PORTS = {MODALITY: 1, WORKSTATION: 2, RESEARCH: 3}
ENTRIES = tuple(f"ae {name}.address=127.0.0.1:{port}" for name, port in PORTS.items())

Open = Callable[..., Node]


def receive(node: Node, dataset: Dataset, calling_ae_title: str = MODALITY) -> str:
    """Receive an instance as a C-STORE would; return the outcome."""
    with archive.receive(
        node,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae_title=calling_ae_title,
    ) as reception:
        reception.write(encoded(dataset))
        return reception.commit()


def encoded(dataset: Dataset) -> bytes:
    """Return a data set as it is sent."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, Dataset({tag: dataset[tag] for tag in dataset.keys() if tag.group > 2}))
    return file.getvalue()


def run_all(node: Node, *, decides: bool = False) -> None:
    """Do what is due and what follows from it, but send nothing."""
    kinds = [kind for kind in JOB_KINDS if kind.name != DELIVER]
    worker = Runner(node, kinds, periodic=[each for each in PERIODIC if decides and each.kind == "decide"])
    while worker.run_due():
        pass


def requests(node: Node) -> list[tuple[str, ProcessingRequest]]:
    """Return the state of each work item, and what it asks for."""
    return [(row.state, request_of(content_of(row.content))) for row in search(node) if row is not None]


def inputs(request: ProcessingRequest) -> set[str]:
    """Return the SOP Instance UIDs that a request names."""
    return {uid for reference in request.inputs for _, uid in reference.instances}


def deliveries(node: Node) -> list[tuple[str, str]]:
    """Return to whom what would be sent: entry and SOP Instance UID."""
    jobs = node.index.jobs.list(JobFilter(DELIVER))
    return sorted((job.destination, str(job.payload["sop_instance_uid"])) for job in jobs)


def held(node: Node) -> list[tuple[str, str]]:
    """Return kind and state of what waits to be processed by rules."""
    jobs = [*node.index.jobs.list(JobFilter("hold")), *node.index.jobs.list(JobFilter(REQUEST))]
    return [(job.kind, job.state) for job in jobs]


def results(node: Node, *types: str) -> list[Dataset]:
    """Return what is stored that has gone through these types, and no others, the last one last."""
    found = [dataset for dataset in stored(node) if processed(dataset) == list(types)]
    return sorted(found, key=lambda one: one.SOPInstanceUID)


def stored(node: Node) -> list[Dataset]:
    """Return all instances."""
    datasets = []
    for copy in node.index.select([SingleValue("PatientID", "P1")]):
        opened = open_object(node, copy)
        with opened.data_set:
            datasets.append(pydicom.dcmread(BytesIO(opened.file_meta + opened.data_set.read())))
    return datasets


def processed(dataset: Dataset) -> list[str]:
    """Return the types that an instance has gone through, as its Contributing Equipment Sequence has them."""
    equipment = dataset.get("ContributingEquipmentSequence") or []
    texts = [item.get("ContributionDescription", "") for item in equipment]
    return [text.partition(" ")[0] for text in texts if text]
