"""What others decode of that which was compressed here, and what is decoded here of that which others compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver.codecs import Workers
from medserver.codecs.encoders import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.codecs.syntaxes import JPEG
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from medserver.errors import CannotTranscode
from tests.codecs.images import KINDS, image, pixels_of, stored
from tests.codecs.stored import StoredObject, stored_file
from tests.codecs.stored import compressed as compressed_objects
from tests.peers import requires
from tests.peers.process import run
from tests.samples import oddity

_NAMES = {"ids": lambda kind: f"{kind[3]}-{kind[1]}-{kind[2]}-{len(kind[0])}{kind[0][0]}"}

DECODERS = {
    JPEG_2000_LOSSLESS: ("gdcm", "gdcmconv", "--raw"),
    # dcmdjpls 3.6.7 has a CharLS that finds "too much compressed data" in some images
    JPEG_LS_LOSSLESS: ("gdcm", "gdcmconv", "--raw"),
    RLE_LOSSLESS: ("dcmtk", "dcmdrle"),
}


DECODED = [
    (uid, kind) for uid in DECODERS for kind in KINDS
    if kind[3] not in ("YBR_FULL", "PALETTE COLOR") and (uid, *kind[1:3]) != (JPEG_LS_LOSSLESS, "i2", 12)
]  # fmt: skip
"""Transfer syntaxes and images; JPEG-LS is not used for samples whose sign it does not hold."""


@pytest.mark.parametrize(("uid", "kind"), DECODED, ids=lambda one: one if isinstance(one, str) else _NAMES["ids"](one))
def test_others_decode_what_was_compressed(uid: str, kind: tuple, workers: Workers, tmp_path: Path) -> None:
    peer, *command = DECODERS[uid]
    requires(peer)
    one = image(*kind)
    path, raw = tmp_path / "compressed.dcm", tmp_path / "raw.dcm"
    path.write_bytes(one.transcoded(uid, workers, tmp_path).part10())
    run([*command, path, raw]).check()
    dataset = pydicom.dcmread(raw)
    assert not dataset.file_meta.TransferSyntaxUID.is_encapsulated
    assert dataset.PixelData == one.read().PixelData  # each bit, that above Bits Stored too


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[1][0] == "u" and kind[0][0] == 1], **_NAMES)
def test_openjpeg_decodes_the_code_stream(kind: tuple, uid: str, workers: Workers, tmp_path: Path) -> None:
    """The code stream alone, without what DICOM says of it."""
    requires("openjpeg")
    one = image(*kind)
    code_stream, raw = tmp_path / "frame.j2k", tmp_path / "frame.rawl"
    [frame] = pydicom.encaps.generate_frames(
        one.transcoded(uid, workers, tmp_path).read().PixelData, number_of_frames=1
    )
    code_stream.write_bytes(frame)
    run(["opj_decompress", "-i", code_stream, "-o", raw]).check()
    planes = np.frombuffer(raw.read_bytes(), f"<{kind[1]}")
    colours = kind[0][3] if len(kind[0]) > 3 else 1
    assert planes.reshape(colours, -1).T.tobytes() == pixels_of(one)


@pytest.mark.parametrize("options", [("+e1",), ("+el",), ("+el", "+sv", "6")], ids=" ".join)
@pytest.mark.parametrize("kind", KINDS, **_NAMES)
def test_jpeg_lossless_of_dcmtk_is_decoded(kind: tuple, options: tuple, workers: Workers, tmp_path: Path) -> None:
    requires("dcmtk")
    one = image(*kind)
    other = _compressed_by_dcmtk(one, options, tmp_path)
    native = other.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert native.read().PixelData == one.read().PixelData
    assert native.read().PhotometricInterpretation == kind[3]


@pytest.mark.parametrize("options", [("+eb",), ("+ee",), ("+ee", "+cr"), ("+eb", "+cy", "+n1")], ids=" ".join)
@pytest.mark.parametrize("kind", [KINDS[1], KINDS[5], KINDS[9], KINDS[11]], **_NAMES)
def test_lossy_jpeg_is_decoded_as_dcmtk_does(kind: tuple, options: tuple, workers: Workers, tmp_path: Path) -> None:
    """Both use the JPEG group's own transformation, but not the same approximation of it."""
    requires("dcmtk")
    smooth = _smooth(*kind)
    other = _compressed_by_dcmtk(smooth, options, tmp_path)
    native = other.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    theirs = _decoded_by_dcmtk(other, tmp_path)
    ours = native.read()
    ours.file_meta = theirs.file_meta
    assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
    difference = np.abs(ours.pixel_array.astype(int) - theirs.pixel_array.astype(int)).max()
    assert difference <= 4


@pytest.mark.parametrize(
    "one",
    [one for one in compressed_objects() if one.transfer_syntax_uid in JPEG and not oddity(one.name).dcmtk],
    ids=lambda one: one.name,
)
def test_jpeg_files_are_decoded_as_dcmtk_does(one: StoredObject, workers: Workers, tmp_path: Path) -> None:
    requires("dcmtk")
    theirs = _decoded_by_dcmtk(one, tmp_path)
    ours = one.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    ours.file_meta = theirs.file_meta
    assert ours.PhotometricInterpretation == theirs.PhotometricInterpretation
    difference = np.abs(ours.pixel_array.astype(int) - theirs.pixel_array.astype(int))
    assert difference.mean() < (1 if transfer_syntax(one.transfer_syntax_uid).lossy else 1e-9)


def test_what_is_cut_off_is_not_made_up(workers: Workers, tmp_path: Path) -> None:
    """libjpeg decodes half a code stream without a word."""
    requires("dcmtk")
    dataset = _compressed_by_dcmtk(image(*KINDS[5]), ("+e1",), tmp_path).read()
    [frame] = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 4 * 2]])
    dataset.save_as(tmp_path / "cut.dcm")
    with pytest.raises(CannotTranscode, match="cut off"):
        stored_file(tmp_path / "cut.dcm").transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def _decoded_by_dcmtk(one: StoredObject, folder: Path) -> pydicom.Dataset:
    (folder / "compressed.dcm").write_bytes(one.part10())
    run(["dcmdjpeg", folder / "compressed.dcm", folder / "theirs.dcm"]).check()
    return pydicom.dcmread(folder / "theirs.dcm")


def _compressed_by_dcmtk(one: StoredObject, options: tuple[str, ...], folder: Path) -> StoredObject:
    native, compressed = folder / "native.dcm", folder / "by-dcmtk.dcm"
    native.write_bytes(one.part10())
    run(["dcmcjpeg", "--uid-never", *options, native, compressed]).check()
    return stored_file(compressed)


def _smooth(shape: tuple[int, ...], dtype: str, bits: int, interpretation: str) -> StoredObject:
    """Return an image that lossy JPEG changes little: a slope."""
    dataset = image(shape, dtype, bits, interpretation).read()
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    slope = (rows + columns) * ((1 << bits) - 1) // (shape[1] + shape[2])
    pixels = np.broadcast_to(slope[None, ..., None] if len(shape) > 3 else slope[None], shape)
    raw = np.ascontiguousarray(pixels).astype(f"<{dtype}").tobytes()
    dataset.PixelData = raw + bytes(len(raw) % 2)
    return stored(dataset)
