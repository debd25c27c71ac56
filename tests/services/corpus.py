"""Data sets made for the tests: small, without pixels unless they are asked for, encoded in any transfer syntax."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

from medserver.dicom import uids
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage

EXPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN
IMPLICIT = uids.IMPLICIT_VR_LITTLE_ENDIAN
BIG_ENDIAN = uids.EXPLICIT_VR_BIG_ENDIAN


@dataclass(frozen=True)
class Object:
    """An instance that is not in a file."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes
    dataset: Dataset

    def data_set(self) -> bytes:
        """Return the encoded data set."""
        return self.encoded


def make_dataset(**attributes: object) -> Dataset:
    """Return a data set with what every instance needs, and these attributes by keyword."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uids.new_uid()
    dataset.StudyInstanceUID = uids.new_uid()
    dataset.SeriesInstanceUID = uids.new_uid()
    dataset.Modality = "CT"
    dataset.PatientID, dataset.PatientName = "CORPUS", "Corpus^Test"
    if character_set := attributes.get("SpecificCharacterSet"):
        dataset.SpecificCharacterSet = character_set
    for keyword, value in attributes.items():
        if keyword == "PixelData":
            dataset.add_new(keyword, "OW", value)
        else:
            setattr(dataset, keyword, value)
    return dataset


def make_object(transfer_syntax_uid: str = EXPLICIT, **attributes: object) -> Object:
    """Return an instance of `make_dataset`, encoded."""
    return encoded(make_dataset(**attributes), transfer_syntax_uid)


def encoded(dataset: Dataset, transfer_syntax_uid: str = EXPLICIT) -> Object:
    """Encode a data set. With an encapsulated transfer syntax it gets pixel data that nobody can decode."""
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    if syntax.encapsulated and "PixelData" not in dataset:
        dataset.PixelData = encapsulate([b"\x01\x02\x03\x04" * 8])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    if not syntax.little_endian and dataset.get("BitsAllocated") == 16 and "PixelData" in dataset:
        dataset = deepcopy(dataset)  # pydicom writes OW as it is
        words = array("H", dataset.PixelData)
        words.byteswap()
        dataset.PixelData = words.tobytes()
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, dataset)
    raw = stream.getvalue()
    if syntax.deflated:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        raw = compressor.compress(raw) + compressor.flush()
        raw += b"\0" * (len(raw) % 2)
    return Object(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), transfer_syntax_uid, raw, dataset)


def make_study(count: int, **attributes: object) -> list[Object]:
    """Return the instances of one series, numbered from 1."""
    same = {"StudyInstanceUID": uids.new_uid(), "SeriesInstanceUID": uids.new_uid(), **attributes}
    return [make_object(InstanceNumber=number, **same) for number in range(1, count + 1)]


def kinds_of(objects: Iterable[object]) -> list[tuple[str, str]]:
    """Return the different pairs of SOP class and transfer syntax."""
    return list(dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in objects))


def file_meta(transfer_syntax_uid: str) -> FileMetaDataset:
    """Return the file meta information with which a data set can be saved."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = transfer_syntax_uid
    return meta
