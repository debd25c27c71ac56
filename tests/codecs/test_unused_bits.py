"""Bits of a Pixel Cell beyond Bits Stored: no encoder takes an image that uses them, so that none loses them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medserver.codecs import Workers, compress_with_loss
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotTranscode
from tests.codecs.images import image, stored
from tests.codecs.stored import StoredObject
from tests.failures import Failures

ENCODED = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)

SHAPE, COLOURS, FRAMES = (1, 32, 48), (1, 32, 48, 3), (3, 32, 48)
BEYOND = {
    "an overlay in all pixels": (SHAPE, "u2", 12, lambda cells: cells | 0x8000),
    "an overlay in one pixel": (SHAPE, "u2", 12, lambda cells: _at(77, cells, 0x8000)),
    "one value too large": (SHAPE, "u2", 12, lambda cells: _at(77, cells * 0, 4096)),
    "-2000 as padding of unsigned pixels": (SHAPE, "u2", 12, lambda cells: _at(slice(500), cells * 0, 63536)),
    "padding below the signed values": (SHAPE, "i2", 12, lambda cells: _at(slice(500), cells * 0, 62536)),
    "signed values without a sign": (SHAPE, "i2", 12, lambda cells: cells & 0x0FFF),
    "an overlay over bytes in words": (SHAPE, "u2", 8, lambda cells: _at(77, cells, 0x0100)),
    "signed bytes without a sign in words": (SHAPE, "i2", 8, lambda cells: cells & 0x00FF),
    "an overlay over 7 bits in a byte": (SHAPE, "u1", 7, lambda cells: _at(77, cells, 0x80)),
    "6 signed bits in a byte without a sign": (SHAPE, "i1", 6, lambda cells: cells & 0x3F),
    "an overlay over three bits": (SHAPE, "u1", 3, lambda cells: _at(77, cells, 0x08)),
    "an overlay in the last frame": (FRAMES, "u2", 12, lambda cells: _at(-1, cells, 0x8000)),
    "an overlay over colours": (COLOURS, "u1", 6, lambda cells: _at(77, cells, 0x80)),
    "a high bit of 15": (SHAPE, "u2", 12, lambda cells: cells << 4),
    "20 bits in 32": (SHAPE, "u4", 20, lambda cells: _at(77, cells, 0x80000000)),
}
"""Shape, dtype and Bits Stored of an image of every value that these can hold, and what is done to its cells."""


def _at(where: int | slice, cells: np.ndarray, bits: int) -> np.ndarray:
    cells[where] |= bits
    return cells


def changed(shape: tuple, dtype: str, bits_stored: int, change: Callable[[np.ndarray], np.ndarray]) -> StoredObject:
    """Return an image whose cells were changed, as unsigned numbers."""
    dataset = image(shape, dtype, bits_stored, "RGB" if len(shape) > 3 else "MONOCHROME2").read()
    cells = np.frombuffer(dataset.PixelData, f"<u{dtype[1]}").copy()
    dataset.PixelData = change(cells).astype(cells.dtype).tobytes()
    return stored(dataset)


@pytest.mark.parametrize("uid", ENCODED)
def test_bits_beyond_bits_stored_are_refused(uid: str, workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for name, (shape, *others) in BEYOND.items():
            frame = shape[0]  # the only one or the last
            reason = f"^frame {frame} cannot be encoded: the bits above Bits Stored are in use$"
            if uid != JPEG_2000_LOSSLESS:  # the others are not used for all of these images, whatever their bits
                reason += r"|^\S+ is not used for "
            with failures.of(name), pytest.raises(CannotTranscode, match=reason):
                changed(shape, *others).transcoded(uid, workers, tmp_path)


@pytest.mark.parametrize("name", [name for name, what in BEYOND.items() if what[1] != "u4"])
def test_loss_is_not_for_them_either(name: str, workers: Workers, tmp_path: Path) -> None:
    """They would not become a little different, as pixels do."""
    one = changed(*BEYOND[name])
    with (
        pytest.raises(CannotTranscode, match="bits above Bits Stored are in use"),
        compress_with_loss(
            io.BytesIO(one.data_set), len(one.data_set), one.transfer_syntax_uid, 10.0, workers, tmp_path
        ),
    ):
        pass


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
@pytest.mark.parametrize(
    ("dtype", "bits_stored", "lowest", "highest"),
    [("u2", 12, 0, 4095), ("i2", 12, -2048, 2047), ("i2", 16, -32768, 32767), ("u2", 8, 0, 255), ("i1", 6, -32, 31),
     ("u1", 3, 0, 7)],
)  # fmt: skip
def test_the_lowest_and_the_highest_value_are_taken(
    dtype: str, bits_stored: int, lowest: int, highest: int, uid: str, workers: Workers, tmp_path: Path
) -> None:
    dataset = image(SHAPE, dtype, bits_stored).read()
    cells = np.resize(np.array([lowest, highest, highest]), SHAPE).astype(f"<{dtype}")
    dataset.PixelData = cells.tobytes()
    compressed = stored(dataset).transcoded(uid, workers, tmp_path)
    assert compressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read().PixelData == cells.tobytes()


@pytest.mark.parametrize(
    ("dtype", "bits_stored", "reason"),
    [("i2", 12, "signed 12 of 16"), ("i1", 6, "signed 6 of 8"), ("u2", 8, "8 of 16"), ("u2", 4, "4 of 16")],
)
def test_jpeg_ls_is_not_used_where_decoders_make_other_cells_of_it(
    dtype: str, bits_stored: int, reason: str, workers: Workers, tmp_path: Path
) -> None:
    """DCMTK and GDCM do not extend the sign of a negative sample, and read no bytes where words are allocated."""
    with pytest.raises(CannotTranscode, match=f"^JPEG-LS is not used for MONOCHROME2 of {reason} bits, but of"):
        image(SHAPE, dtype, bits_stored).transcoded(JPEG_LS_LOSSLESS, workers, tmp_path)
    assert image(SHAPE, "i2", 16).transcoded(JPEG_LS_LOSSLESS, workers, tmp_path)


@pytest.mark.parametrize("uid", ENCODED)
def test_more_bits_than_there_are_is_refused(uid: str, workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(CannotTranscode, match="is not used for MONOCHROME2 of 17 of 16 bits"):
        image(SHAPE, "u2", 12, BitsStored=17).transcoded(uid, workers, tmp_path)
