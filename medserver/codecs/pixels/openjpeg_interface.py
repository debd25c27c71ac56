"""The C interface of the OpenJPEG that is in pylibjpeg-openjpeg, for what its Python functions do not let one choose.

That is the style of the code blocks. With selective arithmetic coding bypass (ISO/IEC 15444-1 D.6) the lower bit
planes, which are noise in most images, are stored as they are: of a CT image encoding takes three quarters of the time
and decoding two thirds, also by whoever reads it later, and the code stream is 0.7 % longer. Every decoder of JPEG 2000
Part 1 reads it.

The interface is that of OpenJPEG 2.5 (openjpeg.h). Where the module does not export it, or what it says of itself is
something else, `has_interface` is False.
"""

from __future__ import annotations

import ctypes
from functools import cache

import _openjpeg
import numpy as np

from medserver.codecs.pixels.image import Image

_RELEASE = b"2.5."
_BYPASS = 0x01  # ISO/IEC 15444-1 table A.19
_CODE_STREAM, _GREY, _OUTPUT = 0, 2, 0
_BUFFER_BYTES = 1024 * 1024
_FAILED = ctypes.c_size_t(-1).value

_Write = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class _Parameters(ctypes.Structure):
    """The beginning of ``opj_cparameters_t``, with room for the rest."""

    _fields_ = (
        ("tile", ctypes.c_int * 5),
        ("cp_disto_alloc", ctypes.c_int),
        ("cp_fixed", ctypes.c_int * 2),
        ("cp_matrice", ctypes.c_void_p),
        ("cp_comment", ctypes.c_void_p),
        ("csty", ctypes.c_int),
        ("prog_order", ctypes.c_int),
        ("poc", ctypes.c_uint8 * (32 * 148)),
        ("numpocs", ctypes.c_uint32),
        ("tcp_numlayers", ctypes.c_int),
        ("tcp_rates", ctypes.c_float * 100),
        ("tcp_distoratio", ctypes.c_float * 100),
        ("numresolution", ctypes.c_int),
        ("cblockw_init", ctypes.c_int),
        ("cblockh_init", ctypes.c_int),
        ("mode", ctypes.c_int),
        ("irreversible", ctypes.c_int),
        ("rest", ctypes.c_uint8 * 32768),
    )


class _ComponentParameters(ctypes.Structure):
    """``opj_image_cmptparm_t``."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("dx", "dy", "w", "h", "x0", "y0", "prec", "bpp", "sgnd"))


class _Component(ctypes.Structure):
    """``opj_image_comp_t``."""

    _fields_ = (
        *_ComponentParameters._fields_,
        ("resno_decoded", ctypes.c_uint32),
        ("factor", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("alpha", ctypes.c_uint16),
    )


class _Image(ctypes.Structure):
    """The beginning of ``opj_image_t``."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("x0", "y0", "x1", "y1", "numcomps")),
        ("color_space", ctypes.c_int),
        ("comps", ctypes.POINTER(_Component)),
    )


_FUNCTIONS = {
    "opj_version": (ctypes.c_char_p,),
    "opj_set_default_encoder_parameters": (None, ctypes.POINTER(_Parameters)),
    "opj_image_create": (
        ctypes.POINTER(_Image), ctypes.c_uint32, ctypes.POINTER(_ComponentParameters), ctypes.c_int
    ),
    "opj_image_destroy": (None, ctypes.POINTER(_Image)),
    "opj_create_compress": (ctypes.c_void_p, ctypes.c_int),
    "opj_setup_encoder": (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Parameters), ctypes.POINTER(_Image)),
    "opj_start_compress": (ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Image), ctypes.c_void_p),
    "opj_encode": (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    "opj_end_compress": (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
    "opj_destroy_codec": (None, ctypes.c_void_p),
    "opj_stream_create": (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    "opj_stream_set_write_function": (None, ctypes.c_void_p, _Write),
    "opj_stream_destroy": (None, ctypes.c_void_p),
}  # fmt: skip
"""By their names: what they return, and what they take."""


@cache
def _interface() -> ctypes.CDLL | None:
    """Return the functions of OpenJPEG; None where they are not those that are known here."""
    library = ctypes.CDLL(_openjpeg.__file__)
    for name, (returned, *taken) in _FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            return None
        function.restype, function.argtypes = returned, taken
    defaults = _Parameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(defaults))
    code_blocks = (defaults.cblockw_init, defaults.cblockh_init, defaults.mode)
    is_known = (defaults.numresolution, *code_blocks, defaults.irreversible) == (6, 64, 64, 0, 0)
    return library if is_known and library.opj_version().startswith(_RELEASE) else None


def has_interface() -> bool:
    """Tell whether `encode` can be called."""
    return _interface() is not None


def encode(frame: bytes, image: Image) -> bytes:
    """Encode a frame of one Sample per Pixel without loss, with selective arithmetic coding bypass.

    Parameters
    ----------
    frame : bytes
        Its samples, in little endian order.
    image : Image
        What they are.

    Raises
    ------
    RuntimeError
        OpenJPEG has failed.
    """
    library = _interface()
    if library is None:
        raise RuntimeError("the C interface of OpenJPEG is not there")
    pieces: list[bytes] = []

    @_Write
    def write(data: int, size_bytes: int, _: object) -> int:
        try:
            pieces.append(ctypes.string_at(data, size_bytes))
        except MemoryError:
            return _FAILED
        return size_bytes

    parameters = _Parameters()
    library.opj_set_default_encoder_parameters(ctypes.byref(parameters))
    parameters.tcp_numlayers, parameters.cp_disto_alloc, parameters.mode = 1, 1, _BYPASS  # one layer, of all bits
    source = _image(library, frame, image)
    codec, stream = library.opj_create_compress(_CODE_STREAM), library.opj_stream_create(_BUFFER_BYTES, _OUTPUT)
    try:
        library.opj_stream_set_write_function(stream, write)
        is_encoded = (
            library.opj_setup_encoder(codec, ctypes.byref(parameters), source)
            and library.opj_start_compress(codec, source, stream)
            and library.opj_encode(codec, stream)
            and library.opj_end_compress(codec, stream)
        )
    finally:
        library.opj_stream_destroy(stream)
        library.opj_destroy_codec(codec)
        library.opj_image_destroy(source)
    if not is_encoded:
        raise RuntimeError("OpenJPEG cannot encode it")
    return b"".join(pieces)


def _image(library: ctypes.CDLL, frame: bytes, image: Image) -> ctypes._Pointer:
    """Return a frame as OpenJPEG holds it: each sample a 32-bit integer."""
    precision, signed = image.bits_stored, image.pixel_representation
    component = _ComponentParameters(1, 1, image.columns, image.rows, 0, 0, precision, precision, signed)
    made = library.opj_image_create(1, ctypes.byref(component), _GREY)
    if not made:
        raise RuntimeError("there is no memory for the image")
    made.contents.x1, made.contents.y1 = image.columns, image.rows
    samples = np.frombuffer(frame, image.sample_type).astype(np.int32)
    ctypes.memmove(made.contents.comps[0].data, samples.ctypes.data, samples.nbytes)
    return made
