"""Images compressed with loss, for who has a thin line: JPEG 2000, as the archive encodes it (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydicom.dataset import Dataset

from medserver.codecs.conversion import convert
from medserver.dicom.encodings import EXPLICIT_LITTLE
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000
from medserver.dicom.undecoded import read_undecoded
from medserver.errors import CannotTranscode, ObjectTypeNotSupported
from medserver.processing.codes import LOSSY_COMPRESSION
from medserver.processing.pixels.files import write_instance
from medserver.processing.pixels.images import Image, open_image, texts_of
from medserver.processing.pixels.results import Derivation, derived_image
from medserver.processing.task import Task

METHOD = "ISO_15444_1"

_SIZE_MAX_BYTES = 4 * 2**30


def compress(task: Task) -> None:
    """Write each image in JPEG 2000 with loss."""
    ratio = float(task.parameters["ratio"])
    derivation = Derivation(
        f"JPEG 2000 compression with loss, {ratio:g}:1 asked for", (LOSSY_COMPRESSION,), f"JPEG 2000 {ratio:g}:1"
    )
    for number in task.numbers(len(task.sources)):
        with open_image(task.sources[number - 1], task.outputs) as image:
            pixels = image.pixels()
            header = derived_image(task, number, image, derivation)
            with tempfile.TemporaryDirectory(dir=task.outputs) as folder:
                plain = Path(folder) / "native.dcm"
                write_instance(plain, header, pixels)
                dataset = _encoded(plain, image, ratio)
            _describe(dataset, pixels.nbytes)
            task.write_encapsulated(number, dataset, JPEG_2000)


def _encoded(plain: Path, image: Image, ratio: float) -> Dataset:
    """Return the data set of a file with its frames encoded.

    Raises
    ------
    ObjectTypeNotSupported
        The codec does not take such an image.
    """
    with open(plain, "rb") as file, tempfile.TemporaryFile(dir=plain.parent) as compressed:
        offset = read_file_meta(file).data_set_offset
        size_bytes = plain.stat().st_size - offset
        try:
            convert(
                file.fileno(), compressed.fileno(), offset, size_bytes, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000,
                os.fspath(plain.parent), _SIZE_MAX_BYTES, ratio=ratio,
            )  # fmt: skip
        except CannotTranscode as error:
            raise ObjectTypeNotSupported(f"{image.source.name} cannot be compressed: {error}") from error
        compressed.seek(0)
        return read_undecoded(compressed, EXPLICIT_LITTLE)


def _describe(dataset: Dataset, native_size_bytes: int) -> None:
    achieved = native_size_bytes / max(len(dataset.PixelData), 1)
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = [*texts_of(dataset, "LossyImageCompressionRatio"), f"{achieved:.4g}"]
    dataset.LossyImageCompressionMethod = [*texts_of(dataset, "LossyImageCompressionMethod"), METHOD]
