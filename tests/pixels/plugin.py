"""Another plug-in for pydicom's decoders: imagecodecs, with other libraries than those that the node decodes with.

It has a build of OpenJPEG of its own, OpenJPH for HTJ2K, CharLS of its own, and PackBits.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder, pixel_array
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless

NAME = "imagecodecs"
DECODER_DEPENDENCIES = {uid: ("imagecodecs",) for uid in (JPEG2000Lossless, HTJ2KLossless, JPEGLSLossless, RLELossless)}


def is_available(uid: str) -> bool:
    """Tell whether it decodes a transfer syntax."""
    return uid in DECODER_DEPENDENCIES


def decode(source: bytes, runner: DecodeRunner) -> bytearray:
    """Decode a frame."""
    if runner.transfer_syntax == RLELossless:
        return _unpacked(source, runner)
    pixels: np.ndarray = {
        JPEG2000Lossless: imagecodecs.jpeg2k_decode,
        HTJ2KLossless: lambda stream: imagecodecs.htj2k_decode(stream, planar=False),
        JPEGLSLossless: imagecodecs.jpegls_decode,
    }[runner.transfer_syntax](source)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(pixels.tobytes())


def _unpacked(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return the planes of a frame of RLE (PS3.5 G)."""
    count, *offsets = struct.unpack("<16L", source[:64])
    ends = [*offsets[1:count], len(source)]
    pixels = runner.rows * runner.columns
    segments = [imagecodecs.packbits_decode(source[start:end])[:pixels] for start, end in zip(offsets, ends)]
    size = runner.bits_allocated // 8
    runner.set_option("planar_configuration", 1)
    planes = np.empty((runner.samples_per_pixel, pixels, size), "u1")
    for index, segment in enumerate(segments):
        planes[index // size, :, size - 1 - index % size] = np.frombuffer(segment, "u1")
    return bytearray(planes.tobytes())


def decoded(dataset: Dataset) -> np.ndarray:
    """Return the pixels of a data set as this plug-in decodes them, colours as they are."""
    decoder = get_decoder(UID(dataset.file_meta.TransferSyntaxUID))
    if NAME not in decoder.available_plugins:
        decoder.add_plugin(NAME, (__name__, "decode"))
    return pixel_array(dataset, decoding_plugin=NAME, raw=True)
