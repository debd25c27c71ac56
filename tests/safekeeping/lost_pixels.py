"""Images compressed as earlier versions did it: into HTJ2K, with Pixel Cells that its code streams do not hold."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from medserver.archive.compression import put_in_place
from medserver.codecs import Transcoded
from medserver.dicom.part10 import Original, read_file_meta
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from medserver.node import Node
from tests.peers.files import Sample, make_series

SIZE = 64
FIRST = slice(0, 500)


def no_sign(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    dataset.PixelRepresentation = 1
    return np.arange(cells.size, dtype="<u2") % 4096


def overlay(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    cells[FIRST] |= 0x8000
    return cells


def padding(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    cells[FIRST] = 63536
    return cells


def signed_padding(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    dataset.PixelRepresentation = 1
    return np.where(np.arange(cells.size) < 500, -3000, 7).astype("<i2")


def two_frames(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    dataset.NumberOfFrames = 2
    return np.concatenate([cells, cells | 0x8000])


def bytes_of_seven_bits(dataset: pydicom.Dataset, cells: np.ndarray) -> np.ndarray:
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 7, 6
    return (np.arange(cells.size) % 256).astype("u1")


LOST = (no_sign, overlay, padding, signed_padding, two_frames, bytes_of_seven_bits)


def make_image(folder: Path, change: Callable, transfer_syntax_uid: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Sample:
    """Return an image with pixels that HTJ2K does not hold, as it is received."""
    [sample] = make_series(folder, 1, rows=SIZE, columns=SIZE)
    dataset = pydicom.dcmread(sample.path)
    changed = change(dataset, np.frombuffer(dataset.PixelData, "<u2").copy())
    little_endian = transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN
    dataset.PixelData = (changed if little_endian else changed.byteswap()).tobytes()
    dataset["PixelData"].VR = "OB" if changed.itemsize == 1 else "OW"
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    implicit_vr = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    pydicom.dcmwrite(sample.path, dataset, implicit_vr=implicit_vr, little_endian=little_endian, force_encoding=True)
    return replace(sample, transfer_syntax_uid=transfer_syntax_uid)


def native_pixels(sample: Sample) -> bytes:
    """Return Pixel Data in little endian order."""
    dataset = pydicom.dcmread(sample.path)
    if sample.transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN:
        return dataset.PixelData
    return np.frombuffer(dataset.PixelData, ">u2").astype("<u2").tobytes()


def compress_as_before(
    node: Node, sample: Sample, native: bytes | None = None, transfer_syntax_uid: str = HTJ2K_LOSSLESS
) -> bytes:
    """Compress a stored image as earlier versions did, and let it take the place of the original; return its pixels.

    OpenJPH was given the cells as they are, and the code stream was told the precision of Bits Stored. `native` are
    the pixels that are encoded, if not those of the image, and `transfer_syntax_uid` is what is said of the result.
    """
    pixels = native_pixels(sample)
    dataset = pydicom.dcmread(sample.path)
    kind = f"{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}"
    frames = np.frombuffer(native or pixels, f"<{kind}").reshape(-1, dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([_code_stream(frame, dataset) for frame in frames])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = HTJ2K_LOSSLESS
    encoded = io.BytesIO()
    pydicom.dcmwrite(encoded, dataset, implicit_vr=False, little_endian=True)
    encoded.seek(0)
    encoded.seek(read_file_meta(encoded).data_set_offset)
    descriptor = os.memfd_create("compressed")
    os.write(descriptor, encoded.read())
    [instance] = [one for one in node.index.select([]) if one.sop_instance_uid == sample.sop_instance_uid]
    with node.primary_volume.open(instance.path) as file:
        before = read_file_meta(file)
    original = Original(
        instance.transfer_syntax_uid, instance.digest, instance.size_bytes, hashlib.sha256(pixels).hexdigest()
    )
    file_meta = replace(
        before,
        transfer_syntax_uid=transfer_syntax_uid,
        received_at=before.received_at + timedelta(microseconds=1),
        duplicates="replace",
        original=original,
        data_set_offset=0,
    )
    assert put_in_place(node, instance, file_meta, Transcoded(descriptor))
    os.close(descriptor)
    return pixels


def _code_stream(frame: np.ndarray, dataset: pydicom.Dataset) -> bytes:
    cells, signed = frame, frame.dtype.kind == "i"
    if not signed:
        kind = np.dtype(f"<i{frame.itemsize}")
        cells = frame.view(kind) - kind.type(1 << dataset.BitsStored - 1)
    stream = bytearray(imagecodecs.htj2k_encode(cells, reversible=True))
    stream[42] = (0x80 if signed else 0) | dataset.BitsStored - 1
    return bytes(stream)
