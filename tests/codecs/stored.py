"""Stored objects for the tests: the files that come with pydicom, as data sets with their transfer syntaxes."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filewriter import write_file_meta_info

from medserver.codecs import Workers, targets, transcode
from medserver.codecs.table import CODECS
from medserver.dicom.uids import transfer_syntax
from tests.samples import oddity, paths

JPEG = tuple(codec.uid for codec in CODECS if codec.decoder.function == "jpeg")
"""The transfer syntaxes of ISO/IEC 10918-1 that are decoded."""

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@dataclass(frozen=True)
class StoredObject:
    """A data set and what it is encoded in."""

    name: str
    transfer_syntax_uid: str
    data_set: bytes = field(repr=False)

    def part10(self) -> bytes:
        """Return the object as a file (PS3.10 7.1)."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        meta.MediaStorageSOPInstanceUID = "2.25.1"
        meta.TransferSyntaxUID = self.transfer_syntax_uid
        meta.ImplementationClassUID = "2.25.2"
        file = io.BytesIO()
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, meta)
        return file.getvalue() + self.data_set

    def read(self) -> pydicom.Dataset:
        """Return the object as pydicom reads it."""
        return pydicom.dcmread(io.BytesIO(self.part10()))

    def transcoded(self, to_uid: str, workers: Workers, directory: Path) -> StoredObject:
        """Return the object in another transfer syntax."""
        source = io.BytesIO(self.data_set)
        size_bytes = len(self.data_set)
        with transcode(
            source, size_bytes, self.transfer_syntax_uid, to_uid, workers, directory
        ) as transcoded:
            with transcoded.open() as stream:
                data_set = stream.read()
            assert len(data_set) == transcoded.size_bytes
        return StoredObject(self.name, to_uid, data_set)


@cache
def all_objects() -> tuple[StoredObject, ...]:
    """Return all test files of pydicom whose transfer syntax can be decoded."""
    return tuple(each for each in map(stored_file, sorted(paths())) if each)


@cache
def stored_objects() -> tuple[StoredObject, ...]:
    """Return those that are not damaged."""
    return tuple(each for each in all_objects() if not oddity(each.name).transcoding)


def uncompressed() -> list[StoredObject]:
    """Return the objects with native pixels or none, deflated ones included."""
    return [each for each in stored_objects() if not transfer_syntax(each.transfer_syntax_uid).encapsulated]


def compressed() -> list[StoredObject]:
    """Return the objects with encapsulated pixels."""
    return [each for each in stored_objects() if transfer_syntax(each.transfer_syntax_uid).encapsulated]


def stored_file(path: Path) -> StoredObject | None:
    """Return the object of a file, None if it is none or cannot be transcoded."""
    with path.open("rb") as file:
        try:
            meta = pydicom.filereader.read_partial(file, stop_when=lambda *_: True).file_meta
        except (InvalidDicomError, EOFError):
            return None
        if not targets(meta.get("TransferSyntaxUID", "")):
            return None
        file.seek(0)
        return StoredObject(path.name, str(meta.TransferSyntaxUID), file.read()[data_set_offset(file) :])


def data_set_offset(file: BinaryIO) -> int:
    """Return where the data set of a file starts."""
    file.seek(132)
    pydicom.filereader._read_file_meta_info(file)
    return file.tell()


def flattened(dataset: pydicom.Dataset, path: tuple = ()) -> list[tuple[tuple, str, object]]:
    """Return path, VR and encoded value (of a sequence the number of items) of every element.

    Group lengths are left out.
    """
    elements = []
    # all of them first: reading one element makes pydicom decode others
    tags = [tag for tag in list(dataset.keys()) if tag.element != 0]
    encoded = {tag: dataset.get_item(tag) for tag in tags}
    for tag, raw in encoded.items():
        here = (*path, int(tag))
        element = dataset[tag]
        if element.VR != "SQ":
            elements.append((here, element.VR, raw.value or b""))
            continue
        elements.append((here, "SQ", len(element.value)))
        for index, item in enumerate(element.value):
            elements.extend(flattened(item, (*here, index)))
    return elements
