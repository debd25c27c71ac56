"""A kind of pixels goes through an encoder, and comes back: by the node itself, another program and another plug-in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from medserver.codecs import Workers
from medserver.codecs.table import codec_of
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotTranscode
from tests.codecs.images import stored
from tests.codecs.stored import StoredObject
from tests.peers.process import run
from tests.pixels.kinds import Kind
from tests.pixels.plugin import decoded

ENCODED = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)

EQUAL = "equal"


def refusal(kind: Kind, transfer_syntax_uid: str) -> str:
    """Return why a kind of pixels is not brought into a transfer syntax, as the table says; empty if it is."""
    codec = codec_of(transfer_syntax_uid)
    if codec is None:
        return ""
    if kind.element != "PixelData":
        return "floating point pixels are not compressed"
    try:
        codec.encoder_for(kind.image)
    except CannotTranscode as error:
        return str(error)
    return "frame 1 cannot be encoded: the bits above Bits Stored are in use" if kind.outside else ""


class Matrix:
    """Sends kinds of pixels through encoders.

    Parameters
    ----------
    workers : Workers
        Who encodes and decodes.
    directory : Path
        Where files are made.
    """

    def __init__(self, workers: Workers, directory: Path) -> None:
        self._workers = workers
        self._directory = directory

    def outcome(self, kind: Kind, transfer_syntax_uid: str) -> str:
        """Return `EQUAL`, or why the pixels were not encoded.

        Raises
        ------
        AssertionError
            A decoder gives others.
        """
        one = stored(kind.dataset())
        try:
            encoded = one.transcoded(transfer_syntax_uid, self._workers, self._directory)
        except CannotTranscode as error:
            return str(error)
        self._comes_back(kind, one, encoded)
        if kind.element == "PixelData" and transfer_syntax_uid in _OTHERS:
            expected = kind.samples_of_all().squeeze()
            assert np.array_equal(decoded(encoded.read()).squeeze(), expected), "another plug-in decodes other pixels"
            theirs = _OTHERS[transfer_syntax_uid](encoded, self._directory)
            assert np.array_equal(theirs, expected), "another program decodes other pixels"
        return EQUAL

    def _comes_back(self, kind: Kind, one: StoredObject, encoded: StoredObject) -> None:
        before = one.read()
        after = encoded.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, self._workers, self._directory).read()
        planar = encoded.transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN and kind.planar
        native = kind.native(planar=planar)
        assert after[kind.element].value == native + bytes(len(native) % 2), "other pixels come back"
        if "PlanarConfiguration" in before:
            before.PlanarConfiguration = planar
        del before[kind.element], after[kind.element]
        assert after == before, "other elements come back"


def _by_gdcm(encoded: StoredObject, directory: Path) -> np.ndarray:
    """Decode with GDCM, which would apply a palette that is not there."""
    return _by_program(encoded, directory, lambda path, native: ["gdcmconv", "--raw", path, native], "MONOCHROME2")


def _by_dcmtk(encoded: StoredObject, directory: Path) -> np.ndarray:
    return _by_program(encoded, directory, lambda path, native: ["dcmdrle", path, native])


def _by_program(
    encoded: StoredObject, directory: Path, command: Callable[[Path, Path], list], palette: str = "PALETTE COLOR"
) -> np.ndarray:
    path = directory / f"{threading.get_ident()}.dcm"
    dataset = encoded.read()
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        dataset.PhotometricInterpretation = palette
    dataset.save_as(path)
    run(command(path, path.with_suffix(".native"))).check()
    native = pydicom.dcmread(path.with_suffix(".native"))
    assert not native.file_meta.TransferSyntaxUID.is_encapsulated
    return pydicom.pixels.pixel_array(native, raw=True).squeeze()


def _by_openjpeg(encoded: StoredObject, directory: Path) -> np.ndarray:
    """Decode the code streams with OpenJPEG's program, which knows nothing of DICOM."""
    path = directory / f"{threading.get_ident()}.j2k"
    dataset = encoded.read()
    frames = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
    arrays = []
    for frame in frames:
        path.write_bytes(frame)
        run(["opj_decompress", "-i", path, "-o", path.with_suffix(".rawl")]).check()
        bits = 8 if dataset.BitsStored <= 8 else 16
        planes = np.frombuffer(path.with_suffix(".rawl").read_bytes(), f"<u{bits // 8}")
        unused = bits - dataset.BitsStored  # which the program leaves zero, the sign too
        planes = (planes << unused).view(f"<{'ui'[dataset.PixelRepresentation]}{bits // 8}") >> unused
        arrays.append(np.moveaxis(planes.reshape(dataset.SamplesPerPixel, dataset.Rows, dataset.Columns), 0, -1))
    return np.stack(arrays).squeeze()


_OTHERS = {
    JPEG_2000_LOSSLESS: _by_gdcm,
    HTJ2K_LOSSLESS: _by_openjpeg,
    JPEG_LS_LOSSLESS: _by_gdcm,
    RLE_LOSSLESS: _by_dcmtk,
}
"""Who decodes a transfer syntax besides. GDCM knows no HTJ2K."""
