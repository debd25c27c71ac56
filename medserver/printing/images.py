"""The images of a film, gathered in a file without a name: those that came with it, and those that are rendered now.

No bytes of a peer's are looked into here: what reads the file is a worker process, see `job`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from shutil import copyfileobj
from typing import IO

from pydicom.dataset import Dataset

from medserver.archive import open_data_set, read_header
from medserver.dicom.conditions import SingleValue
from medserver.dicom.dataset_values import value_of
from medserver.errors import NoSuchInstance
from medserver.imaging import Rendering, Window, render_picture
from medserver.index import FilmRow, StoredCopy
from medserver.node import Node
from medserver.printing.film import Film, ImageBox, ReceivedImage, ReferencedImage
from medserver.printing.film_file import film_file
from medserver.scu.storage import Outgoing

RAW, PNG = "raw", "png"

_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


@dataclass(frozen=True, slots=True)
class GatheredImage:
    """Where an image lies in the file, and what it is.

    Parameters
    ----------
    image_box_position : int
        Whose.
    form : str
        `RAW` or `PNG`.
    offset, size_bytes : int
        Where.
    rows, columns, samples_per_pixel, bits : int
        Of raw pixels.
    is_reversed : bool
        Whether 0 is the lightest (MONOCHROME1).
    pixel_aspect_ratio : tuple of int, (vertical, horizontal)
        Of a pixel.
    spacing_mm : tuple of float, (row, column), or None
        Between the pixels of what is shown.
    icc_offset, icc_size_bytes : int
        Where the ICC profile of its colours lies; none where it has no bytes.
    """

    image_box_position: int
    form: str
    offset: int
    size_bytes: int
    rows: int = 0
    columns: int = 0
    samples_per_pixel: int = 1
    bits: int = 8
    is_reversed: bool = False
    pixel_aspect_ratio: tuple[int, int] = (1, 1)
    spacing_mm: tuple[float, float] | None = None
    icc_offset: int = 0
    icc_size_bytes: int = 0

    def as_json(self) -> dict[str, object]:
        """Return what JSON can hold of it."""
        return asdict(self)


@contextmanager
def gathered_images(node: Node, row: FilmRow, film: Film) -> Iterator[tuple[IO[bytes], tuple[GatheredImage, ...]]]:
    """Give a file with the images of a film, and where each lies.

    Parameters
    ----------
    node : Node
        Where the film was asked for.
    row : FilmRow
        The film, as the index has it.
    film : Film
        The same, read.

    Raises
    ------
    NoSuchInstance
        An image is not stored here.
    CannotRender, CannotTranscode, TransferSyntaxNotSupported
        One cannot be shown.
    DamagedObject, StoreFailure, OutOfResources
        One cannot be read.
    """
    with tempfile.TemporaryFile(dir=node.config.current.node.data) as file:
        found: list[GatheredImage] = []
        received = [box for box in film.boxes if isinstance(box.image, ReceivedImage)]
        if received:
            with film_file(node.volume(row.volume), row.uid) as archive:
                profile = _added(archive.read(film.icc_profile), file) if film.icc_profile else (0, 0)
                for box in received:
                    with archive.open(box.image.file) as member:
                        found.append(_received(box, member, file, profile))
        found += [_rendered(node, box, file) for box in film.boxes if isinstance(box.image, ReferencedImage)]
        file.flush()
        yield file, tuple(found)


def _added(content: bytes, file: IO[bytes]) -> tuple[int, int]:
    """Add bytes to the file, and return where they begin and how many there are."""
    offset = file.seek(0, os.SEEK_END)
    file.write(content)
    return offset, len(content)


def _received(box: ImageBox, member: IO[bytes], file: IO[bytes], profile: tuple[int, int]) -> GatheredImage:
    image = box.image
    assert isinstance(image, ReceivedImage)
    offset = file.seek(0, os.SEEK_END)
    copyfileobj(member, file, 1 << 20)
    return GatheredImage(
        box.image_box_position,
        RAW,
        offset,
        file.tell() - offset,
        image.rows,
        image.columns,
        image.samples_per_pixel,
        image.bits_stored,
        image.photometric_interpretation == "MONOCHROME1",
        image.pixel_aspect_ratio,
        icc_offset=profile[0],
        icc_size_bytes=profile[1],
    )


def _rendered(node: Node, box: ImageBox, file: IO[bytes]) -> GatheredImage:
    """Render a frame of a stored instance, and add it as PNG: P-values of 16 bits, or colours of 8."""
    image = box.image
    assert isinstance(image, ReferencedImage)
    stored = stored_copy(node, image.sop_instance_uid)
    state = None
    if image.presentation_state_uid:
        state = _source(node, stored_copy(node, image.presentation_state_uid))
    voi = None
    if image.window_center is not None and image.window_width is not None:
        voi = Window(image.window_center, image.window_width)
    header = read_header(node, stored)
    is_gray = str(value_of(header, "PhotometricInterpretation")).startswith("MONOCHROME")
    is_plain = is_gray and "RedPaletteColorLookupTableDescriptor" not in header
    options = Rendering(voi=voi, bits=16 if is_plain else 8)
    where = (image.frame_number - 1, options, node.processors, node.config.current.node.data)
    with render_picture(_source(node, stored), *where, state=state) as picture:
        offset = file.seek(0, os.SEEK_END)
        with open(picture.descriptor, "rb", closefd=False) as written:
            written.seek(0)
            copyfileobj(written, file, 1 << 20)
        length = file.tell() - offset
        size = picture.rows, picture.columns, picture.samples_per_pixel, picture.bits
        spacing = _spacing_mm(header, picture.rows, picture.columns)
        profile = _added(_icc_profile(header), file) if picture.samples_per_pixel == 3 else (0, 0)
        where = (box.image_box_position, PNG, offset, length)
        return GatheredImage(
            *where, *size, spacing_mm=spacing, icc_offset=profile[0], icc_size_bytes=profile[1]
        )


def _spacing_mm(header: Dataset, rows: int, columns: int) -> tuple[float, float] | None:
    """Return the distance between the pixels of an image as it is rendered, where its header says it.

    None also where it was rendered in another size than its own, as a presentation state can have it.
    """
    for keyword in _SPACINGS:
        try:
            row, column = map(float, value_of(header, keyword) or ())
        except (TypeError, ValueError):
            continue
        if row > 0 and column > 0:
            least = min(row, column)  # pixels that are not square are made so, by the smaller distance
            own = (int(value_of(header, "Rows") or 0) * row, int(value_of(header, "Columns") or 0) * column)
            shown = sorted((rows * least, columns * least))
            is_whole = all(abs(one - other) <= least for one, other in zip(shown, sorted(own), strict=True))
            return (least, least) if is_whole else None
    return None


def _icc_profile(header: Dataset) -> bytes:
    """Return the ICC profile of the colours of an image, also of one with Optical Paths; empty if there is none."""
    for each in (header, *(header.get("OpticalPathSequence") or ())):
        profile = each.get("ICCProfile")
        if isinstance(profile, bytes) and profile:
            return profile
    return b""


def _source(node: Node, stored: StoredCopy) -> Outgoing:
    what = (stored.sop_class_uid, stored.sop_instance_uid, stored.transfer_syntax_uid, stored.size_bytes)
    return Outgoing(*what, lambda: closing(open_data_set(node, stored)))


def stored_copy(node: Node, sop_instance_uid: str) -> StoredCopy:
    """Return the current object of an instance.

    Raises
    ------
    NoSuchInstance
        It is not stored here.
    """
    for stored in node.index.select([SingleValue("SOPInstanceUID", sop_instance_uid)]):
        return stored
    raise NoSuchInstance(f"instance {sop_instance_uid} is not stored here")
