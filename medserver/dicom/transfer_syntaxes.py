"""The transfer syntaxes in which a data set may arrive, and what each says of its bytes (PS3.5 10 and A).

Not here, because no data set that is sent by C-STORE can be complete in them: the JPIP syntaxes, which refer
to the pixels on another server, and the SMPTE ST 2110 syntaxes of real-time video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from medserver.errors import TransferSyntaxNotSupported


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax.

    Parameters
    ----------
    uid, name, keyword : str
        As in PS3.6 A.
    implicit_vr : bool
        The elements do not say their VR (PS3.5 7.1.3).
    little_endian : bool
        False in Explicit VR Big Endian alone.
    encapsulated : bool
        Pixel Data is a sequence of fragments (PS3.5 A.4).
    deflated : bool
        The whole data set is one deflate stream (PS3.5 A.5).
    lossy : bool
        The pixels may have been compressed irreversibly. True too for the syntaxes that allow both, such as
        JPEG 2000.
    retired : bool
        PS3.6 has retired it; archives still hold it.
    """

    uid: str
    name: str
    keyword: str
    implicit_vr: bool = False
    little_endian: bool = True
    encapsulated: bool = False
    deflated: bool = False
    lossy: bool = False
    retired: bool = False

    @property
    def lossless(self) -> bool:
        """Whether the pixels can only be what they were before they were encoded."""
        return not self.lossy

    @property
    def native(self) -> bool:
        """Whether the pixels are plain, so that other native syntaxes only write the elements differently."""
        return not self.encapsulated and not self.deflated

    @property
    def video(self) -> bool:
        """Whether it is one of the MPEG and HEVC encodings (PS3.5 8.2.5 - 8.2.12)."""
        return self.keyword.startswith(("MPEG", "HEVC"))


def _lossless(uid: str, name: str, keyword: str, *, retired: bool = False) -> TransferSyntax:
    """Return an encapsulated transfer syntax that keeps every pixel."""
    return TransferSyntax(uid, name, keyword, encapsulated=True, retired=retired)


def _lossy(uid: str, name: str, keyword: str, *, retired: bool = False) -> TransferSyntax:
    """Return an encapsulated transfer syntax in which the pixels may have changed."""
    return TransferSyntax(uid, name, keyword, encapsulated=True, lossy=True, retired=retired)


TRANSFER_SYNTAXES: tuple[TransferSyntax, ...] = (
    TransferSyntax(
        "1.2.840.10008.1.2", "Implicit VR Little Endian",
        "ImplicitVRLittleEndian", implicit_vr=True,
    ),
    TransferSyntax("1.2.840.10008.1.2.1", "Explicit VR Little Endian", "ExplicitVRLittleEndian"),
    _lossless(
        "1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian",
        "EncapsulatedUncompressedExplicitVRLittleEndian",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian",
        "DeflatedExplicitVRLittleEndian", deflated=True,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.2", "Explicit VR Big Endian",
        "ExplicitVRBigEndian", little_endian=False, retired=True,
    ),
    _lossy("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", "JPEGBaseline8Bit"),
    _lossy("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", "JPEGExtended12Bit"),
    _lossy("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", "JPEGExtended35", retired=True),
    _lossy(
        "1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
        "JPEGSpectralSelectionNonHierarchical68", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
        "JPEGSpectralSelectionNonHierarchical79", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
        "JPEGFullProgressionNonHierarchical1012", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
        "JPEGFullProgressionNonHierarchical1113", retired=True,
    ),
    _lossless("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "JPEGLossless"),
    _lossless(
        "1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)",
        "JPEGLosslessNonHierarchical15", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)",
        "JPEGExtendedHierarchical1618", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)",
        "JPEGExtendedHierarchical1719", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)",
        "JPEGSpectralSelectionHierarchical2022", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)",
        "JPEGSpectralSelectionHierarchical2123", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)",
        "JPEGFullProgressionHierarchical2426", retired=True,
    ),
    _lossy(
        "1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)",
        "JPEGFullProgressionHierarchical2527", retired=True,
    ),
    _lossless(
        "1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)",
        "JPEGLosslessHierarchical28", retired=True,
    ),
    _lossless(
        "1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)",
        "JPEGLosslessHierarchical29", retired=True,
    ),
    _lossless(
        "1.2.840.10008.1.2.4.70",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        "JPEGLosslessSV1",
    ),
    _lossless("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", "JPEGLSLossless"),
    _lossy("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", "JPEGLSNearLossless"),
    _lossless("1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", "JPEG2000Lossless"),
    _lossy("1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", "JPEG2000"),
    _lossless(
        "1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        "JPEG2000MCLossless",
    ),
    _lossy("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", "JPEG2000MC"),
    _lossy("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", "MPEG2MPML"),
    _lossy("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", "MPEG2MPMLF"),
    _lossy("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", "MPEG2MPHL"),
    _lossy("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", "MPEG2MPHLF"),
    _lossy("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", "MPEG4HP41"),
    _lossy(
        "1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
        "MPEG4HP41F",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        "MPEG4HP41BD",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        "MPEG4HP41BDF",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        "MPEG4HP422D",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        "MPEG4HP422DF",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        "MPEG4HP423D",
    ),
    _lossy(
        "1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        "MPEG4HP423DF",
    ),
    _lossy("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "MPEG4HP42STEREO"),
    _lossy(
        "1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        "MPEG4HP42STEREOF",
    ),
    _lossy("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", "HEVCMP51"),
    _lossy("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", "HEVCM10P51"),
    _lossless("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", "JPEGXLLossless"),
    _lossy("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", "JPEGXLJPEGRecompression"),
    _lossy("1.2.840.10008.1.2.4.112", "JPEG XL", "JPEGXL"),
    _lossless(
        "1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)",
        "HTJ2KLossless",
    ),
    _lossless(
        "1.2.840.10008.1.2.4.202",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        "HTJ2KLosslessRPCL",
    ),
    _lossy("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", "HTJ2K"),
    _lossless("1.2.840.10008.1.2.5", "RLE Lossless", "RLELossless"),
    _lossless("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", "DeflatedImageFrameCompression"),
)
"""Every transfer syntax that a peer may send, in the order of the UIDs."""

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
JPEG_XL_JPEG_RECOMPRESSION = "1.2.840.10008.1.2.4.111"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

_BY_UID: Mapping[str, TransferSyntax] = MappingProxyType({each.uid: each for each in TRANSFER_SYNTAXES})


def transfer_syntax(uid: str) -> TransferSyntax:
    """Return the transfer syntax of a UID.

    Raises
    ------
    TransferSyntaxNotSupported
        If the UID is not one of `TRANSFER_SYNTAXES`.
    """
    try:
        return _BY_UID[uid]
    except KeyError:
        raise TransferSyntaxNotSupported(f"the transfer syntax {uid!r} is not known here") from None
