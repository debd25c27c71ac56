"""Images whose pixels and attributes a test says, and what DCMTK makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.peers.process import run

SOP_CLASS_UID = "1.2.840.10008.5.1.4.1.1.7"
SOP_INSTANCE_UID = "2.25.7"


def image(cells: np.ndarray, photometric_interpretation: str = "MONOCHROME2", **attributes: object) -> Dataset:
    """Return an image with native pixels.

    Parameters
    ----------
    cells : ndarray, shape (rows, columns), (frames, rows, columns), or with a last axis of three samples
        An integer type.
    photometric_interpretation : str
        Photometric Interpretation.
    **attributes
        What else it has, or what it has in place of what follows from the cells.
    """
    dataset = new_dataset(SOP_CLASS_UID, SOP_INSTANCE_UID)
    is_colour = cells.shape[-1] == 3 and photometric_interpretation.startswith(("RGB", "YBR"))
    spatial = cells.shape[:-1] if is_colour else cells.shape
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = photometric_interpretation
    if is_colour:
        dataset.PlanarConfiguration = 0
    if len(spatial) == 3:
        dataset.NumberOfFrames = spatial[0]
    dataset.Rows, dataset.Columns = spatial[-2:]
    bits = 8 * cells.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored = bits, attributes.pop("BitsStored", bits)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(cells.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    raw = cells.astype(cells.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = raw + bytes(len(raw) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset


def new_dataset(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a data set of a patient, study and series."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = sop_class_uid
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", "1", "OT"
    return dataset


def item(**attributes: object) -> Dataset:
    """Return an item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def lut(first: int, entries: list[int], bits: int, count: int | None = None) -> Dataset:
    """Return an item of a Modality, VOI or Presentation LUT Sequence."""
    made = Dataset()
    vr = "SS" if first < 0 else "US"
    made.add_new("LUTDescriptor", vr, [len(entries) if count is None else count, first, bits])
    made.add_new("LUTData", "US", entries)
    return made


def add_overlay(dataset: Dataset, mask: np.ndarray, group: int = 0x6000, **others: object) -> None:
    """Add an overlay plane.

    Parameters
    ----------
    dataset : Dataset
        The image, or a presentation state.
    mask : ndarray, shape (rows, columns) or (frames, rows, columns), bool
        Its pixels.
    group : int
        Its group.
    **others
        ``origin``, ``kind``, ``frame_origin``, ``layer``.
    """
    rows, columns = mask.shape[-2:]
    dataset.add_new((group, 0x0010), "US", rows)
    dataset.add_new((group, 0x0011), "US", columns)
    if mask.ndim == 3:
        dataset.add_new((group, 0x0015), "IS", mask.shape[0])
        dataset.add_new((group, 0x0051), "US", others.get("frame_origin", 1))
    dataset.add_new((group, 0x0040), "CS", others.get("kind", "G"))
    dataset.add_new((group, 0x0050), "SS", list(others.get("origin", (1, 1))))
    dataset.add_new((group, 0x0100), "US", 1)
    dataset.add_new((group, 0x0102), "US", 0)
    if "layer" in others:
        dataset.add_new((group, 0x1001), "CS", others["layer"])
    data = np.packbits(mask.ravel(), bitorder="little").tobytes()
    dataset.add_new((group, 0x3000), "OW", data + bytes(len(data) % 2))


def by_dcm2pnm(dataset: Dataset, folder: Path, *options: str) -> np.ndarray:
    """Return the pixels that dcm2pnm makes of an image.

    Returns
    -------
    ndarray, shape (rows, columns) or (rows, columns, 3), uint8
    """
    dataset.save_as(folder / "image.dcm", enforce_file_format=True)
    return by_program("dcm2pnm", folder / "image.dcm", folder, *options)


def by_program(program: str, path: Path, folder: Path, *options: str) -> np.ndarray:
    """Return the pixels that a program with the options of dcm2pnm makes of a file."""
    run([program, "--write-raw-pnm", *options, path, folder / "image.pnm"]).check()
    return read_pnm(folder / "image.pnm")


def by_dcmp2pgm(dataset: Dataset, state: Dataset, folder: Path, *options: str) -> np.ndarray:
    """Return the pixels that dcmp2pgm makes of an image and a presentation state.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
    """
    dataset.save_as(folder / "image.dcm", enforce_file_format=True)
    state.save_as(folder / "state.dcm", enforce_file_format=True)
    run(["dcmp2pgm", *options, "--pstate", folder / "state.dcm", folder / "image.dcm", folder / "image.pgm"]).check()
    return read_pnm(folder / "image.pgm")


def read_pnm(path: Path) -> np.ndarray:
    """Return the pixels of a binary PGM or PPM of 8 bits."""
    content = path.read_bytes()
    found = re.match(rb"(P[56])\s+(?:#.*\n)?(\d+)\s+(\d+)\s+255\s", content)
    assert found, content[:40]
    columns, rows = int(found[2]), int(found[3])
    shape = (rows, columns) if found[1] == b"P5" else (rows, columns, 3)
    return np.frombuffer(content[found.end() :], "u1").reshape(shape)
