"""JPEG 2000 with selective arithmetic coding bypass: smaller work, the same pixels, for whoever decodes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
from numpy._core import _multiarray_umath

from medserver.codecs.pixels import decoders, encoders, openjpeg_interface
from medserver.codecs.pixels.image import Image
from medserver.dicom.transfer_syntaxes import JPEG_2000_LOSSLESS

_COD = b"\xff\x52"
_STYLE_OFFSET = 12  # ISO/IEC 15444-1 A.6.1: behind Lcod, Scod, SGcod, and the levels and sizes in SPcod
_BYPASS = 1
_LONGER_MAX = 1.02

SAMPLES = [("u1", 3), ("u1", 8), ("i1", 7), ("u2", 9), ("u2", 12), ("u2", 16), ("i2", 12), ("i2", 16), ("u4", 20)]
SHAPES = [(32, 32), (33, 65), (512, 100)]


@pytest.fixture
def other_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module that exports nothing of OpenJPEG."""
    monkeypatch.setattr(openjpeg_interface, "_openjpeg", SimpleNamespace(__file__=_multiarray_umath.__file__))
    openjpeg_interface._interface.cache_clear()
    yield
    openjpeg_interface._interface.cache_clear()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "bits"), SAMPLES)
def test_grey_is_the_same_for_every_decoder(kind: str, bits: int, shape: tuple[int, int]) -> None:
    samples, image = _ramp_with_noise(kind, bits, shape)
    stream = encoders.jpeg_2000(samples.tobytes(), image, "MONOCHROME2")
    assert _style(stream) == _BYPASS
    assert decoders.jpeg_2000(stream, image, JPEG_2000_LOSSLESS)[0] == samples.tobytes()
    assert np.array_equal(imagecodecs.jpeg2k_decode(stream), samples)


def test_the_code_stream_is_hardly_longer() -> None:
    samples, image = _ramp_with_noise("u2", 12, (512, 512))
    with_bypass = encoders.jpeg_2000(samples.tobytes(), image, "MONOCHROME2")
    without = imagecodecs.jpeg2k_encode(samples, level=0, codecformat="j2k", reversible=True, bitspersample=12)
    assert len(with_bypass) < len(without) * _LONGER_MAX


def test_colours_are_encoded_by_pydicom() -> None:
    image = Image(32, 32, 3, 8, 8, 0, "RGB", 0, 1)
    frame = np.random.default_rng(3).integers(0, 256, (32, 32, 3), "u1").tobytes()
    stream = encoders.jpeg_2000(frame, image, "YBR_RCT")
    assert _style(stream) == 0
    assert decoders.jpeg_2000(stream, image, JPEG_2000_LOSSLESS)[0] == frame


@pytest.mark.usefixtures("other_library")
def test_without_the_interface() -> None:
    assert not openjpeg_interface.has_interface()
    samples, image = _ramp_with_noise("u2", 12, (64, 64))
    with pytest.raises(RuntimeError, match="is not there"):
        openjpeg_interface.encode(samples.tobytes(), image)
    stream = encoders.jpeg_2000(samples.tobytes(), image, "MONOCHROME2")
    assert _style(stream) == 0
    assert decoders.jpeg_2000(stream, image, JPEG_2000_LOSSLESS)[0] == samples.tobytes()


def test_what_openjpeg_refuses_is_an_error() -> None:
    samples, image = _ramp_with_noise("u2", 12, (16, 16))  # too small for six resolutions
    with pytest.raises(RuntimeError, match="cannot encode"):
        openjpeg_interface.encode(samples.tobytes(), image)


def _style(stream: bytes) -> int:
    """Return the style of the code blocks."""
    return stream[stream.index(_COD) + _STYLE_OFFSET]


def _ramp_with_noise(kind: str, bits: int, shape: tuple[int, int]) -> tuple[np.ndarray, Image]:
    """Return an image from the lowest to the highest value, with noise in a quarter of its bits."""
    dtype = np.dtype(f"<{kind}")
    signed = int(dtype.kind == "i")
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    ramp = np.linspace(lowest, highest, shape[0] * shape[1]).reshape(shape)
    noise = np.random.default_rng(7).integers(0, 1 << bits // 4 + 1, shape)
    samples = np.clip(ramp + noise, lowest, highest).astype(dtype)
    return samples, Image(*shape, 1, 8 * dtype.itemsize, bits, signed, "MONOCHROME2", 0, 1)
