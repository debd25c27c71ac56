"""What the peers exchange: pydicom's test files, and images made here."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from tests.samples import paths


@dataclass(frozen=True)
class Sample:
    """A DICOM file and what identifies it."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    def data_set(self) -> bytes:
        """Return the encoded data set, without preamble and File Meta Information."""
        return data_set_bytes(self.path)

    def sent(self) -> bytes:
        """Return the encoded data set as it is sent: padded, if its length is odd (PS3.8 E.1)."""
        data_set = self.data_set()
        return data_set + b"\0" * (len(data_set) % 2)


def data_set_bytes(path: Path) -> bytes:
    """Return the encoded data set of a Part 10 file, without preamble and File Meta Information."""
    with path.open("rb") as stream:
        stream.seek(132)
        read_dataset(
            stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2
        )
        return stream.read()


@cache
def samples() -> tuple[Sample, ...]:
    """Return the test files of pydicom that are valid DICOM.

    Valid: in the DICOM file format (PS3.10 7.1), with valid UIDs of SOP Class, instance, series and study in
    the data set. (Some have other UIDs in the File Meta Information, which is never sent.) An instance
    may occur more than once, in several transfer syntaxes: see `distinct`.

    Returns
    -------
    tuple of Sample
        In the order of the paths.
    """
    found = (_sample(path) for path in sorted(paths()))
    return tuple(sample for sample in found if sample is not None)


def distinct(several: Iterable[Sample]) -> list[Sample]:
    """Return the first sample of each SOP Instance UID."""
    return list({sample.sop_instance_uid: sample for sample in reversed(list(several))}.values())[::-1]


def _sample(path: Path) -> Sample | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # that a file is odd is why it is a good sample
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
        transfer_syntax_uid = dataset.file_meta.TransferSyntaxUID
        identifiers = [dataset.SOPClassUID, dataset.SOPInstanceUID]
        identifiers += [dataset.StudyInstanceUID, dataset.SeriesInstanceUID]
    except (InvalidDicomError, AttributeError, OSError, EOFError):
        return None
    if not all(uid and uid.is_valid for uid in [*identifiers, transfer_syntax_uid]):
        return None
    return Sample(path, str(identifiers[0]), str(identifiers[1]), str(transfer_syntax_uid))


def make_series(
    directory: Path,
    count: int,
    *,
    rows: int = 512,
    columns: int = 512,
    patient_id: str = "PHANTOM-1",
    patient_name: str = "Phantom^Water",
    study_date: str = "20260131",
    accession_number: str = "A1",
    study_instance_uid: str | None = None,
) -> list[Sample]:
    """Write a series of CT images (12 bits in 16, Explicit VR Little Endian) in one study.

    Parameters
    ----------
    directory : Path
        Made when it is missing.
    count : int
        How many images.
    rows, columns : int
        Their size.
    patient_id, patient_name, study_date, accession_number : str
        What identifies the patient and the study.
    study_instance_uid : str, optional
        The study; a new one by default.

    Returns
    -------
    list of Sample
        In the order of Instance Number; each has pixels of its own.
    """
    dataset = _image(CTImageStorage, "CT", rows, columns, study_instance_uid or generate_uid())
    dataset.PatientID, dataset.PatientName = patient_id, patient_name
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = study_date
    dataset.AccessionNumber = accession_number
    dataset.KVP, dataset.SliceThickness = "120", "1"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    pixels = _phantom(rows, columns)
    written = []
    for number in range(1, count + 1):
        dataset.ImagePositionPatient = ["-200", "-200", str(number)]
        dataset.SliceLocation = str(number)
        dataset.PixelData = ((pixels + number) & 0x0FFF).astype("<u2").tobytes()
        written.append(_write(directory / f"CT{number:05}.dcm", dataset, number))
    return written


def make_small(directory: Path, count: int = 1, *, patient_id: str = "PHANTOM-2") -> list[Sample]:
    """Write MR images of about 10 kB (64 x 64 pixels) in one series, as `make_series`."""
    dataset = _image(MRImageStorage, "MR", 64, 64, generate_uid())
    dataset.PatientID, dataset.PatientName = patient_id, "Phantom^Small"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
    dataset.MRAcquisitionType, dataset.EchoTrainLength = "2D", "1"
    dataset.RepetitionTime, dataset.EchoTime, dataset.SliceThickness = "500", "15", "5"
    pixels = _phantom(64, 64)
    written = []
    for number in range(1, count + 1):
        dataset.ImagePositionPatient = ["-32", "-32", str(number)]
        dataset.PixelData = ((pixels + number) & 0x0FFF).astype("<u2").tobytes()
        written.append(_write(directory / f"MR{number:05}.dcm", dataset, number))
    return written


def _image(sop_class_uid: str, modality: str, rows: int, columns: int, study_instance_uid: str) -> Dataset:
    """Return an image without pixels, patient and instance: what is the same in each of a series."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.ImageType = (
        ["ORIGINAL", "PRIMARY", "AXIAL"] if modality == "CT" else ["ORIGINAL", "PRIMARY", "OTHER"]
    )
    dataset.Modality = modality
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260131"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101112"
    dataset.AccessionNumber, dataset.StudyID = "A1", "1"
    dataset.StudyDescription, dataset.SeriesDescription = "Quality assurance", "Axial"
    dataset.Manufacturer, dataset.ManufacturerModelName = "medserver tests", "Phantom"
    dataset.ReferringPhysicianName = "Referring^Physician"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_instance_uid, generate_uid()
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = generate_uid(), ""
    dataset.SeriesNumber, dataset.AcquisitionNumber = 1, 1
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "HEAD"
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PixelSpacing = ["0.8", "0.8"]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = "1064", "400"
    return dataset


def _phantom(rows: int, columns: int) -> numpy.ndarray:
    """Return a noisy disc, compressible as a real image: ndarray, shape (rows, columns), int32, 12 bits."""
    row, column = numpy.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    noise = numpy.random.default_rng(1).integers(0, 32, (rows, columns))
    return numpy.where(row**2 + column**2 < 0.8, 1040, 24).astype("int32") + noise.astype("int32")


def _write(path: Path, dataset: Dataset, number: int) -> Sample:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.InstanceNumber = number
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return Sample(path, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(ExplicitVRLittleEndian))
