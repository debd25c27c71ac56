"""Bring a data set into another transfer syntax, or leave its bulk data out. The job that worker processes do."""

from __future__ import annotations

import os
import resource
import tempfile
from dataclasses import dataclass
from typing import BinaryIO

from medserver.codecs.data_sets.bulk_data import WithoutBulkData
from medserver.codecs.data_sets.compressor import Compressor
from medserver.codecs.data_sets.deflation import Deflater
from medserver.codecs.data_sets.inflation import inflate
from medserver.codecs.data_sets.rewriter import Output, Rewriter
from medserver.codecs.data_sets.survey import Facts, Survey
from medserver.codecs.pixels.decoding import DecodedFrames
from medserver.codecs.pixels.encoding import EncodedFrames
from medserver.codecs.pixels.fragments import check_frame_count
from medserver.codecs.pixels.image import image_of
from medserver.codecs.table import Codec, codec_of
from medserver.dicom.encodings import encoding_of
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, transfer_syntax
from medserver.dicom.walker import Visitor, Walker
from medserver.errors import TransferSyntaxNotSupported
from medserver.region import BUFFER_SIZE_BYTES, open_region


def convert(
    source_descriptor: int,
    output_descriptor: int,
    offset: int,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    directory: str,
    size_max_bytes: int,
    without_bulk_data: bool = False,
    as_proved: bool = False,
    ratio: float | None = None,
) -> str | None:
    """Write a data set in another transfer syntax to the file `output_descriptor`.

    Parameters
    ----------
    source_descriptor, output_descriptor : int
        Open files. Only the output's own position is used, and it is written from there.
    offset, size_bytes : int
        Where the data set lies in the source.
    from_uid, to_uid : str
        Transfer syntax UIDs. Into a compressed one the frames are encoded without loss, and each is decoded again and
        compared.
    directory : str
        Where the inflated or decoded form of a data set rests meanwhile.
    size_max_bytes : int
        No file is made longer.
    without_bulk_data : bool
        Leave out the attributes of PS3.4 Z.1.3. Of what remains, only the pixels of an icon can be encapsulated:
        they stay as they are if the transfer syntax does, and are decoded else.
    as_proved : bool
        Decode with what proved the encoder of `from_uid` once: it may give what the usual decoder loses.
    ratio : float, optional
        How much shorter the pixels become, for a transfer syntax with loss.

    Returns
    -------
    str or None
        SHA-256 of the native frames, hexadecimal, in little endian order and with colours by pixel, if they were
        encoded or decoded.

    Raises
    ------
    CannotTranscode
        If the data set is damaged, its pixels cannot be decoded, or they cannot be encoded without loss.
    TransferSyntaxNotSupported
        If a transfer syntax is unknown.
    """
    limit_file_size(size_max_bytes)
    with (
        open_region(source_descriptor, offset, size_bytes) as source,
        os.fdopen(output_descriptor, "wb", BUFFER_SIZE_BYTES, closefd=False) as output,
    ):
        conversion = Conversion(from_uid, to_uid, directory, without_bulk_data, as_proved, ratio)
        if not transfer_syntax(from_uid).deflated:
            return conversion.write(source_descriptor, offset, source, size_bytes, output)
        with tempfile.TemporaryFile(dir=directory) as inflated:
            inflated_size_bytes = inflate(source, size_bytes, inflated, size_max_bytes)
            inflated.seek(0)
            return conversion.write(inflated.fileno(), 0, inflated, inflated_size_bytes, output)


def limit_file_size(size_max_bytes: int) -> None:
    """Have the kernel keep the bound, however the bytes come about: a write beyond it fails with EFBIG."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_max_bytes, hard_limit))


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is to become of a data set. The parameters are those of `convert`."""

    from_uid: str
    to_uid: str
    directory: str
    without_bulk_data: bool = False
    as_proved: bool = False
    ratio: float | None = None

    def write(
        self, descriptor: int, offset: int, source: BinaryIO, size_bytes: int, output: BinaryIO
    ) -> str | None:
        """Write the inflated data set at `offset` of a file to `output`, deflated if that is wanted.

        Returns what `convert` does.
        """
        syntax = transfer_syntax(self.to_uid)
        if syntax.encapsulated and not self.without_bulk_data:
            return self._compress(descriptor, offset, source, size_bytes, output)
        if not syntax.deflated:
            return self._rewrite(descriptor, offset, source, size_bytes, output)
        deflater = Deflater(output)
        pixel_digest = self._rewrite(descriptor, offset, source, size_bytes, deflater)
        deflater.finish()
        return pixel_digest

    def _rewrite(
        self, descriptor: int, offset: int, source: BinaryIO, size_bytes: int, output: Output
    ) -> str | None:
        """Survey the data set, then write it; return the digest of its frames if they were decoded."""
        decoded: list[DecodedFrames] = []  # those of the data set come before those of its items

        def decode(facts: Facts) -> DecodedFrames:
            start, length = facts.fragments or (0, 0)
            # The frames are read while the walk through the data set goes on: a stream of their own.
            fragments = open_region(descriptor, offset + start, length)
            image = image_of(facts)
            check_frame_count(image.number_of_frames, facts.extended_offsets, self.from_uid, fragments)
            decoded.append(DecodedFrames(image, _codec(self.from_uid), fragments, before=self.as_proved))
            return decoded[-1]

        encoding = encoding_of(self.from_uid)
        surveyor = Survey(source, transfer_syntax(self.from_uid).encapsulated)
        Walker(source, size_bytes, encoding, self._shown(surveyor)).walk()
        decoder = None if self.from_uid == self.to_uid else decode
        rewriter = Rewriter(source, encoding_of(self.to_uid), output, surveyor.facts, decoder)
        Walker(source, size_bytes, encoding, self._shown(rewriter)).walk()
        return decoded[0].digest.hexdigest() if decoded else None

    def _compress(
        self, descriptor: int, offset: int, source: BinaryIO, size_bytes: int, output: BinaryIO
    ) -> str:
        """Encode the frames; what is not native and little endian becomes so first."""
        syntax = transfer_syntax(self.from_uid)
        if syntax.little_endian and not syntax.encapsulated:
            return self._encode(descriptor, offset, source, size_bytes, output)
        with tempfile.TemporaryFile(dir=self.directory) as native:
            decoding = Conversion(self.from_uid, EXPLICIT_VR_LITTLE_ENDIAN, self.directory)
            decoding._rewrite(descriptor, offset, source, size_bytes, native)
            native_size_bytes = native.tell()
            native.seek(0)
            encoding = Conversion(EXPLICIT_VR_LITTLE_ENDIAN, self.to_uid, self.directory, ratio=self.ratio)
            return encoding._encode(native.fileno(), 0, native, native_size_bytes, output)

    def _encode(
        self, descriptor: int, offset: int, source: BinaryIO, size_bytes: int, output: BinaryIO
    ) -> str:
        """Survey a native data set, then write it with its frames encoded; return the digest of these."""
        encoded: list[EncodedFrames] = []

        def encode(facts: Facts) -> EncodedFrames:
            start, length = facts.pixel_data or (0, 0)
            pixels = open_region(descriptor, offset + start, length)
            encoded.append(EncodedFrames(image_of(facts), _codec(self.to_uid), pixels, length, self.ratio))
            return encoded[0]

        encoding = encoding_of(self.from_uid)
        surveyor = Survey(source, encapsulated=False)
        Walker(source, size_bytes, encoding, surveyor).walk()
        compressor = Compressor(source, output, surveyor.facts, encode)
        Walker(source, size_bytes, encoding, compressor).walk()
        return encoded[0].digest.hexdigest()

    def _shown(self, visitor: Visitor) -> Visitor:
        """Return a visitor that passes on what this one is to see."""
        return WithoutBulkData(visitor) if self.without_bulk_data else visitor


def _codec(transfer_syntax_uid: str) -> Codec:
    codec = codec_of(transfer_syntax_uid)
    if codec is None:
        raise TransferSyntaxNotSupported(f"there is no codec for {transfer_syntax_uid}")
    return codec
