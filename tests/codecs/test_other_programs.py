"""What is decoded here of that which others compressed; what they decode of ours is in `tests.pixels`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver.codecs import Workers
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from medserver.errors import CannotTranscode
from tests.codecs.images import KINDS, image, pixels_of, stored
from tests.codecs.stored import JPEG, StoredObject, stored_file
from tests.codecs.stored import compressed as compressed_objects
from tests.peers import requires
from tests.peers.process import run
from tests.samples import oddity

_NAMES = {"ids": lambda kind: f"{kind[3]}-{kind[1]}-{kind[2]}-{len(kind[0])}{kind[0][0]}"}


@pytest.mark.parametrize("options", [("+e1",), ("+el",), ("+el", "+sv", "6")], ids=" ".join)
@pytest.mark.parametrize("kind", KINDS, **_NAMES)
def test_jpeg_lossless_of_dcmtk_is_decoded(kind: tuple, options: tuple, workers: Workers, tmp_path: Path) -> None:
    requires("dcmtk")
    one = image(*kind)
    other = _compressed_by_dcmtk(one, options, tmp_path)
    native = other.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert native.read().PixelData == one.read().PixelData
    assert native.read().PhotometricInterpretation == kind[3]


@pytest.mark.parametrize(
    "options", [("+eb",), ("+ee",), ("+ee", "+cr"), ("+eb", "+cy", "+n1"), ("+es",), ("+ep",)], ids=" ".join
)
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


@pytest.mark.parametrize("behind", [b" ", b" \0", b"\xff\xff", b"\r\n\x1a\0\1\2"])
@pytest.mark.parametrize("options", [("+e1",), ("+eb",)], ids=" ".join)
def test_bytes_behind_a_jpeg_are_no_harm(
    options: tuple[str, ...], behind: bytes, workers: Workers, tmp_path: Path
) -> None:
    """Files have a space there; DCMTK decodes them as if it were not there."""
    requires("dcmtk")
    whole = _compressed_by_dcmtk(image(*KINDS[1]), options, tmp_path)
    longer = _with_frame(whole, lambda frame: frame[: frame.rindex(b"\xff\xd9") + 2] + behind, tmp_path)
    native = longer.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert native.PixelData == whole.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read().PixelData
    difference = np.frombuffer(native.PixelData, "u1") - np.frombuffer(
        _decoded_by_dcmtk(longer, tmp_path).PixelData, "u1"
    ).astype(int)
    assert np.abs(difference).max() <= (0 if options == ("+e1",) else 4)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[3], KINDS[4], KINDS[7], KINDS[10]], **_NAMES)
def test_a_byte_in_front_of_the_end_of_jpeg_ls_is_no_harm(kind: tuple, workers: Workers, tmp_path: Path) -> None:
    """Encoders leave one. GDCM does not decode it; DCMTK does if it is not a byte more than the samples fill."""
    requires("dcmtk")
    theirs_count = 0
    for rows in range(33, 41):
        one = image((1, rows, *kind[0][2:]), *kind[1:])
        longer = _with_frame(one.transcoded(JPEG_LS_LOSSLESS, workers, tmp_path), _with_a_byte_more, tmp_path)
        assert pixels_of(longer.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)) == pixels_of(one)
        if run(["dcmdjpls", tmp_path / "changed.dcm", tmp_path / "theirs.dcm"]).exit_code == 0:
            theirs_count += 1
            assert pixels_of(stored_file(tmp_path / "theirs.dcm")) == pixels_of(one)
    assert theirs_count >= 2


def test_a_damaged_jpeg_ls_is_refused(workers: Workers, tmp_path: Path) -> None:
    one = image(*KINDS[0]).transcoded(JPEG_LS_LOSSLESS, workers, tmp_path)
    for change in (
        lambda frame: frame[: len(frame) // 2],
        lambda frame: frame[: len(frame) // 2] + b"\xff\xd9",
        lambda frame: _with_a_byte_more(frame)[:7] + b"\x20" + _with_a_byte_more(frame)[8:],
    ):
        with pytest.raises(CannotTranscode):
            _with_frame(one, change, tmp_path).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def _with_a_byte_more(frame: bytes) -> bytes:
    return frame[: frame.rindex(b"\xff\xd9")] + b"\0\xff\xd9"


def _with_frame(one: StoredObject, change: Callable[[bytes], bytes], folder: Path) -> StoredObject:
    """Return an image of one frame with another code stream."""
    dataset = one.read()
    [frame] = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([change(frame)])
    dataset.save_as(folder / "changed.dcm")
    return stored_file(folder / "changed.dcm")


def test_what_is_cut_off_is_not_made_up(workers: Workers, tmp_path: Path) -> None:
    """libjpeg decodes half a code stream without a word."""
    requires("dcmtk")
    dataset = _compressed_by_dcmtk(image(*KINDS[5]), ("+e1",), tmp_path).read()
    [frame] = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 4 * 2]])
    dataset.save_as(tmp_path / "cut.dcm")
    with pytest.raises(CannotTranscode, match="cut off"):
        stored_file(tmp_path / "cut.dcm").transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS])
def test_planar_configuration_says_nothing_of_a_code_stream(uid: str, workers: Workers, tmp_path: Path) -> None:
    """Colours by pixel in the code stream, by plane according to the elements: GDCM decodes the same image."""
    one = image((2, 33, 47, 3), "u1", 8, "RGB")
    dataset = one.transcoded(uid, workers, tmp_path).read()
    dataset.PlanarConfiguration = 1
    dataset.save_as(tmp_path / "planes.dcm")
    native = stored_file(tmp_path / "planes.dcm").transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert native.read().PlanarConfiguration == 0
    assert native.read().PixelData == one.read().PixelData
    if uid != HTJ2K_LOSSLESS:  # which GDCM does not know
        requires("gdcm")
        run(["gdcmconv", "--raw", tmp_path / "planes.dcm", tmp_path / "raw.dcm"]).check()
        assert pixels_of(stored_file(tmp_path / "raw.dcm")) == pixels_of(one)


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
