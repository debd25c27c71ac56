"""The decoders of frames, as the rows of `codecs.table` name them.

Each takes a code stream, the Image and the Transfer Syntax UID, and returns the frame in little endian order, its
Photometric Interpretation, and its Planar Configuration. It may raise whatever.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import openjpeg
from pydicom.pixels import convert_color_space, get_decoder
from pydicom.uid import UID

from medserver.codecs.pixels.fragments import item
from medserver.codecs.pixels.image import Image
from medserver.dicom.transfer_syntaxes import JPEG_XL_JPEG_RECOMPRESSION, transfer_syntax
from medserver.errors import CannotTranscode

Frame = tuple[bytes, str, int]

_RGB_OF = {"YBR_RCT": "RGB", "YBR_ICT": "RGB"}  # PS3.5 8.2.4: the decoder transforms the components
_SUBSAMPLED = {"YBR_FULL_422": "YBR_FULL"}  # decoded samples are not

_SOS, _EOI = b"\xff\xda", b"\xff\xd9"
_ZERO_AND_EOI = b"\0" + _EOI


def plain(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Return a frame that is stored as it is (PS3.5 A.4.11)."""
    if len(stream) == image.frame_size_bytes + image.frame_size_bytes % 2:
        stream = stream[: image.frame_size_bytes]
    return stream, image.photometric_interpretation, image.planar_configuration


def deflated(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Inflate a frame (PS3.5 A.4.13)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    frame = inflater.decompress(stream, image.frame_size_bytes + 2)
    if len(inflater.unused_data) > 1:  # more than the padding: another frame
        raise CannotTranscode("there is more behind a frame")
    return plain(frame, image, transfer_syntax_uid)


def jpeg_2000(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode JPEG 2000 and HTJ2K with OpenJPEG.

    The order of the colours is that of the code stream, by pixel, whatever Planar Configuration says (PS3.5 8.2.4).
    """
    stated = openjpeg.get_parameters(stream)
    shape, bits, signed = (stated["rows"], stated["columns"]), stated["precision"], stated["is_signed"]
    _check_size((*shape, stated["samples_per_pixel"]), image)
    decoded = openjpeg.decode_pixel_data(stream, version=2)
    samples = np.frombuffer(decoded, f"<{'ui'[signed]}{1 if bits <= 8 else 2 if bits <= 16 else 4}").reshape(*shape, -1)
    if signed != image.pixel_representation:  # encoders err: the bits count, and the elements say what they are
        samples = _of_sign(samples, bits, image.pixel_representation)
    return _frame(samples, image, transfer_syntax_uid)


def jpeg_2000_before(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode JPEG 2000 with imagecodecs."""
    import imagecodecs

    return _frame(imagecodecs.jpeg2k_decode(stream, numthreads=1), image, transfer_syntax_uid)


def htj2k_before(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode HTJ2K with OpenJPH, which does not clamp samples to the precision that the code stream says."""
    import imagecodecs

    return _frame(imagecodecs.htj2k_decode(stream, planar=False), image, transfer_syntax_uid)


def jpeg_ls(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode JPEG-LS with CharLS; where it cannot be decoded, without a zero byte in front of EOI.

    Some encoders write one more than the samples need, and CharLS then finds no marker, or too much data; one that the
    samples do need is missed by it.
    """
    try:
        samples = _by_charls(stream, image)
    except RuntimeError:
        before, end, padding = stream.rpartition(_ZERO_AND_EOI)
        if not end or padding.strip(b"\0"):
            raise
        samples = _by_charls(before + _EOI, image)
    return _frame(samples, image, transfer_syntax_uid)


def rle(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode RLE. Samples of one bit are bytes in it (PS3.5 G.2); some encoders leave them packed."""
    if image.bits_allocated != 1:
        return _by_pydicom(stream, image, transfer_syntax_uid, "pydicom")
    in_bytes = replace(image, bits_allocated=8, bits_stored=8)
    try:
        frame, *kind = _by_pydicom(stream, in_bytes, transfer_syntax_uid, "pydicom")
    except RuntimeError:
        packed = replace(in_bytes, rows=1, columns=image.frame_size_bytes)
        return _by_pydicom(stream, packed, transfer_syntax_uid, "pydicom")
    return _packed(np.frombuffer(frame, "u1")), *kind


def jpeg(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode ISO/IEC 10918-1 with libjpeg-turbo.

    The elements say whether the colours were transformed, not the markers of the code stream, which many leave out
    (PS3.5 8.2.1). Colours are recalculated only where they are not exact anyway.
    """
    import imagecodecs

    if not _is_whole(stream):
        raise CannotTranscode("the code stream is cut off")
    colours = {}
    if image.samples_per_pixel > 1:
        transformed = image.photometric_interpretation.startswith("YBR")
        coded = "YCBCR" if transformed else "RGB"
        to_rgb = transformed and transfer_syntax(transfer_syntax_uid).lossy
        colours = {"colorspace": coded, "outcolorspace": "RGB" if to_rgb else coded}
    try:
        samples = imagecodecs.jpeg8_decode(stream, **colours)
    except imagecodecs.Jpeg8Error:  # perhaps there are no colours to transform
        _check_size(imagecodecs.jpeg8_decode(stream).shape, image)
        raise
    samples = _with_sign(samples, image)
    interpretation = {"RGB": "RGB", "YCBCR": "YBR_FULL"}.get(colours.get("outcolorspace", ""))
    return _frame(samples, image, transfer_syntax_uid, interpretation)


def jpeg_xl(stream: bytes, image: Image, transfer_syntax_uid: str) -> Frame:
    """Decode JPEG XL with libjxl, which makes RGB of the colours that the code stream transforms."""
    import imagecodecs

    samples = _with_sign(imagecodecs.jpegxl_decode(stream, numthreads=1), image)
    transformed = transfer_syntax_uid == JPEG_XL_JPEG_RECOMPRESSION or image.photometric_interpretation == "XYB"
    interpretation = "RGB" if transformed and image.samples_per_pixel > 1 else None
    return _frame(samples, image, transfer_syntax_uid, interpretation)


def _is_whole(stream: bytes) -> bool:
    """Tell whether a code stream of JPEG has its end; libjpeg makes up what is missing.

    Neither marker can stand among entropy-coded bytes (ISO/IEC 10918-1 B.1.1.5), so that an EOI behind the last SOS is
    the end of the image, and not that of a thumbnail in the header. Bytes of any value are found behind it, where
    PS3.5 A.4 has one zero byte at most.
    """
    return stream.rfind(_EOI) > stream.rfind(_SOS)


def _by_charls(stream: bytes, image: Image) -> np.ndarray:
    """Decode a code stream of JPEG-LS into samples of its own size, by pixel."""
    from jpeg_ls import decode_pixel_data

    decoded, stated = decode_pixel_data(stream)
    shape, components, bits = (stated["height"], stated["width"]), stated["components"], stated["bits_per_sample"]
    samples = np.frombuffer(decoded, f"<u{1 if bits <= 8 else 2}")
    if components > 1:
        by_plane = stated["interleave_mode"] == 0
        samples = samples.reshape(components, -1).T.reshape(*shape, -1) if by_plane else samples.reshape(*shape, -1)
    else:
        samples = samples.reshape(shape)
    return _of_sign(samples, bits, 1) if image.pixel_representation else samples


def _by_pydicom(stream: bytes, image: Image, transfer_syntax_uid: str, plugin: str) -> Frame:
    """Decode with a plug-in of pydicom, which sorts colours by pixel."""
    image.check_samples()
    options = {name: getattr(image, name) for name in Image.__slots__}
    options |= {"number_of_frames": 1, "planar_configuration": 0}  # the plug-ins say which it was
    samples, properties = get_decoder(UID(transfer_syntax_uid)).as_array(
        item(b"") + item(stream),
        validate=False,  # `image_of` has
        pixel_keyword="PixelData",
        as_rgb=False,
        decoding_plugin=plugin,
        correct_unused_bits=False,  # they may hold overlays, and are kept as they were
        **options,
    )
    return _frame(samples, image, transfer_syntax_uid, str(properties["photometric_interpretation"]))


def _frame(samples: np.ndarray, image: Image, transfer_syntax_uid: str, interpretation: str | None = None) -> Frame:
    """Return decoded samples as a native frame; colours are recalculated only where they are not exact anyway.

    Parameters
    ----------
    samples : ndarray, shape (rows, columns[, samples per pixel])
        As the code stream has them: of its precision, by pixel.
    interpretation : str, optional
        Their Photometric Interpretation, if it is not that of the elements.
    """
    _check_size(samples.shape, image)
    if samples.dtype.itemsize > max(image.bits_allocated // 8, 1):
        raise CannotTranscode(f"samples of {samples.dtype.itemsize} bytes do not fit Bits Allocated")
    interpretation = interpretation or image.photometric_interpretation
    interpretation = _SUBSAMPLED.get(interpretation, _RGB_OF.get(interpretation, interpretation))
    if interpretation == "YBR_FULL" and transfer_syntax(transfer_syntax_uid).lossy:
        if image.samples_per_pixel != 3 or samples.dtype != np.uint8:
            what = f"{image.samples_per_pixel} Samples per Pixel of {8 * samples.dtype.itemsize} bits"
            raise CannotTranscode(f"{image.photometric_interpretation} has 3 Samples per Pixel of 8 bits, not {what}")
        samples, interpretation = convert_color_space(samples, "YBR_FULL", "RGB"), "RGB"
    if image.bits_allocated == 1:
        return _packed(samples), interpretation, 0
    return samples.astype(image.sample_type, copy=False).tobytes(), interpretation, 0


def _check_size(shape: tuple[int, ...], image: Image) -> None:
    if shape[:2] != (image.rows, image.columns):
        raise CannotTranscode(f"the code stream has {shape[0]} rows and {shape[1]} columns")
    samples_per_pixel = shape[2] if len(shape) > 2 else 1
    if samples_per_pixel != image.samples_per_pixel:
        stated = image.samples_per_pixel
        raise CannotTranscode(f"the code stream has {samples_per_pixel} and not {stated} Samples per Pixel")


def _packed(samples: np.ndarray) -> bytes:
    """Return samples of one bit as native ones (PS3.5 8.1.1)."""
    if samples.max() > 1:
        raise CannotTranscode("the code stream has more than one bit for each sample")
    return np.packbits(samples, bitorder="little").tobytes()


def _with_sign(samples: np.ndarray, image: Image) -> np.ndarray:
    """Return samples with the sign that JPEG does not know (PS3.5 8.2.1), if no bits above it are in use."""
    signed = image.pixel_representation and image.bits_stored <= 8 * samples.itemsize
    if not signed or (samples >> image.bits_stored).any():
        return samples
    return _of_sign(samples, image.bits_stored, 1)


def _of_sign(samples: np.ndarray, bits: int, pixel_representation: int) -> np.ndarray:
    """Return the samples that the lowest bits of others are."""
    unused = 8 * samples.itemsize - bits
    return (samples << unused).view(f"<{'ui'[pixel_representation & 1]}{samples.itemsize}") >> unused
