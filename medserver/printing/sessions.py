"""What a Print SCU makes on one association: film session, film boxes, image boxes, annotations and presentation LUTs.

It is kept in memory, but for the pixels, which wait in a file without a name; all of it goes with the association. What
is to be printed is copied into a `Film` of its own and made durable, see `queue`. Only the film box that was created
last and its boxes are changed, printed or deleted. Nothing is known here of DIMSE: see `medserver.services.printing`.

References
----------
PS3.4 H.2.2, PS3.4 H.4
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO

from medserver.config import Printer
from medserver.dicom.json_model import JSON
from medserver.dicom.uids import new_uid
from medserver.errors import (
    DuplicateInstance,
    EmptyFilmSession,
    FilmSessionQueueFull,
    ImageTooLarge,
    InvalidAttributeValue,
    MissingAttribute,
    MissingAttributeValue,
    NoPrintMemory,
    NoSuchInstance,
    PrintQueueFull,
)
from medserver.node import Node
from medserver.printing.attributes import (
    ANNOTATION_BOX,
    FILM_BOX,
    FILM_SESSION,
    IMAGE_BOX,
    checked,
    number,
    text_of,
)
from medserver.printing.film import Annotation, Film, ImageBox, PresentationLut, ReceivedImage
from medserver.printing.layout import boxes_of, count_of, sheet_size_mm
from medserver.printing.queue import PRINT_SCU, FilmRequest, queue_film
from medserver.workitems.content import data_set, first_item, has, has_value, value

FILM_BOXES_MAX = 100
LUTS_MAX = 256
IMAGE_PIXELS_MAX = 1 << 27
"""Of one image: some 11,000 x 11,000."""

PIXELS_BYTES_MAX = 1 << 30
"""Of all images of an association."""

ANNOTATION_BOXES = 6
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ReceivedPixels:
    """An image as it was received: its attributes, and where its pixels are in the data set.

    Parameters
    ----------
    attributes : JSON
        Of the item of the image sequence, without Pixel Data.
    file : file
        Where the data set is.
    offset, size_bytes : int
        Of the value of Pixel Data.
    is_big_endian : bool
        The order of its bytes.
    """

    attributes: JSON
    file: IO[bytes]
    offset: int
    size_bytes: int
    is_big_endian: bool


@dataclass
class ImageBoxInstance:
    """An image box: what it is set to."""

    uid: str
    position: int
    attributes: dict = field(default_factory=dict)
    image: ReceivedImage | None = None
    offset: int = 0
    size_bytes: int = 0
    presentation_lut: PresentationLut | None = None


@dataclass
class AnnotationBoxInstance:
    """An annotation box: what it is set to."""

    uid: str
    position: int
    attributes: dict = field(default_factory=dict)


@dataclass
class FilmBoxInstance:
    """A film box: what it is set to, and its image and annotation boxes."""

    uid: str
    is_colour: bool
    attributes: dict
    image_boxes: list[ImageBoxInstance]
    annotation_boxes: list[AnnotationBoxInstance]
    presentation_lut_uid: str = ""
    presentation_lut: PresentationLut = PresentationLut()


@dataclass
class FilmSessionInstance:
    """A film session: what it is set to, and its film boxes."""

    uid: str
    attributes: dict
    film_boxes: list[FilmBoxInstance] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Queued:
    """What was given to the printer.

    Parameters
    ----------
    print_job_uid : str
        The UID of the print job, which is all the films that were printed together.
    is_empty : bool
        Whether a film has no image.
    is_collated : bool
        Whether several copies of several films come in the order that was asked for.
    """

    print_job_uid: str
    is_empty: bool
    is_collated: bool = True


class PrintSession:
    """Everything that a Print SCU has made on an association.

    Parameters
    ----------
    node : Node
        Where its films are printed.
    printer : Printer
        On what.
    requested_by : str
        Its AE title.
    """

    def __init__(self, node: Node, printer: Printer, requested_by: str) -> None:
        self._node = node
        self.printer = printer
        self._requested_by = requested_by
        self._luts: dict[str, PresentationLut] = {}
        self.film_session: FilmSessionInstance | None = None
        self._pixels = tempfile.TemporaryFile(dir=node.config.current.node.data)
        self.print_job_uids: list[str] = []

    # Film session

    def create_film_session(self, uid: str, attributes: JSON) -> FilmSessionInstance:
        """Create the film session (PS3.4 H.4.1.2.1).

        Raises
        ------
        DuplicateInstance
            There is one: an association has one at a time.
        RequestError
            A value cannot be.
        """
        if self.film_session is not None:
            raise DuplicateInstance("there is a film session on this association")
        kept = checked(attributes, FILM_SESSION, is_new=True)
        self._check_copies(kept)
        self.film_session = FilmSessionInstance(uid or new_uid(), kept)
        return self.film_session

    def set_film_session(self, uid: str, attributes: JSON) -> FilmSessionInstance:
        """Change the film session (PS3.4 H.4.1.2.2)."""
        session = self._session(uid)
        kept = session.attributes | checked(attributes, FILM_SESSION, is_new=False)
        self._check_copies(kept)
        session.attributes = kept
        return session

    def delete_film_session(self, uid: str) -> None:
        """Delete the film session and all below it (PS3.4 H.4.1.2.3)."""
        self._session(uid)
        self.film_session = None
        self._forget_pixels()

    def print_film_session(self, uid: str) -> Queued:
        """Print all film boxes of the film session (PS3.4 H.4.1.2.4).

        Raises
        ------
        EmptyFilmSession
            It has no film box.
        FilmSessionQueueFull
            Too many films wait.
        """
        session = self._session(uid)
        if not session.film_boxes:
            raise EmptyFilmSession("the film session has no film box")
        try:
            return self._print(session.film_boxes)
        except PrintQueueFull as error:
            raise FilmSessionQueueFull(str(error)) from error

    # Film boxes

    def create_film_box(
        self, uid: str, attributes: JSON, *, is_colour: bool, has_annotations: bool
    ) -> FilmBoxInstance:
        """Create a film box with its image and annotation boxes (PS3.4 H.4.2.2.1).

        Raises
        ------
        MissingAttribute, MissingAttributeValue, InvalidAttributeValue
            An attribute is missing, or cannot be: the film session that it names, for one.
        DuplicateInstance
            There is a film box of this UID.
        NoPrintMemory
            There are too many film boxes.
        """
        kept = checked(attributes, FILM_BOX, is_new=True)
        if not has_value(attributes, "ReferencedFilmSessionSequence"):
            is_empty = has(attributes, "ReferencedFilmSessionSequence")
            raise (MissingAttributeValue if is_empty else MissingAttribute)("ReferencedFilmSessionSequence is missing")
        session = self._referenced_session(attributes)
        if any(each.uid == uid for each in session.film_boxes):
            raise DuplicateInstance("there is a film box of this UID")
        if len(session.film_boxes) >= FILM_BOXES_MAX:
            raise NoPrintMemory(f"more than {FILM_BOXES_MAX} film boxes")
        image_display_format = text_of(attributes, "ImageDisplayFormat")
        count = count_of(image_display_format)
        self._check_medium(kept)
        annotations = ANNOTATION_BOXES if has_annotations else 0
        box = FilmBoxInstance(
            uid or new_uid(),
            is_colour,
            kept,
            [ImageBoxInstance(new_uid(), position) for position in range(1, count + 1)],
            [AnnotationBoxInstance(new_uid(), position) for position in range(1, annotations + 1)],
        )
        self._refer(box, attributes)
        session.film_boxes.append(box)
        return box

    def set_film_box(self, uid: str, attributes: JSON) -> FilmBoxInstance:
        """Change the last film box (PS3.4 H.4.2.2.2)."""
        box = self._last_film_box(uid)
        kept = checked(attributes, FILM_BOX, is_new=False)
        self._refer(box, attributes)
        box.attributes = box.attributes | kept
        return box

    def delete_film_box(self, uid: str) -> None:
        """Delete the last film box and its boxes (PS3.4 H.4.2.2.3)."""
        box = self._last_film_box(uid)
        assert self.film_session is not None
        self.film_session.film_boxes.remove(box)
        self._forget_pixels()

    def print_film_box(self, uid: str) -> Queued:
        """Print the last film box (PS3.4 H.4.2.2.4).

        Raises
        ------
        OutOfResources
            Too many films wait.
        """
        return self._print([self._last_film_box(uid)])

    # Image boxes and annotation boxes

    def set_image_box(
        self, uid: str, attributes: JSON, image: ReceivedPixels | None, *, erases: bool
    ) -> tuple[ImageBoxInstance, bool]:
        """Change an image box of the last film box (PS3.4 H.4.3.1.2.1).

        Parameters
        ----------
        uid : str
            Which.
        attributes : JSON
            What was given, without the image.
        image : ReceivedPixels or None
            The image, if one was given.
        erases : bool
            Whether an empty image sequence was given.

        Returns
        -------
        tuple of (ImageBoxInstance, bool)
            The box, and whether its image will be made smaller to fit.

        Raises
        ------
        InvalidAttributeValue
            Something cannot be.
        ImageTooLarge
            The image is larger than its box, and must not be made smaller.
        NoPrintMemory
            There is no room for it.
        """
        film_box, box = self._image_box(uid)
        kept = checked(attributes, IMAGE_BOX, is_new=False)
        given = number(attributes, "ImageBoxPosition")
        if given is not None and given != box.position:
            raise InvalidAttributeValue(f"the Image Box Position of this image box is {box.position}")
        becomes = replace(box, attributes={} if image is not None else dict(box.attributes))
        becomes.attributes |= kept
        _requested_size(becomes)
        lut_uid = value(first_item(attributes, "ReferencedPresentationLUTSequence"), "ReferencedSOPInstanceUID")
        if lut_uid:
            becomes.presentation_lut = self._referenced_lut(lut_uid)
        if erases:
            becomes.image = None
        is_smaller = False
        if image is not None:
            becomes.image = _described(image, box.position, film_box.is_colour)
            is_smaller = self._check_fits(film_box, becomes)
            becomes.offset, becomes.size_bytes = self._keep(image, becomes.image)
        film_box.image_boxes[box.position - 1] = becomes
        return becomes, is_smaller

    def set_annotation_box(self, uid: str, attributes: JSON) -> AnnotationBoxInstance:
        """Change an annotation box of the last film box (PS3.4 H.4.11)."""
        for film_box in self._open_film_boxes():
            for box in film_box.annotation_boxes:
                if box.uid == uid:
                    box.attributes = box.attributes | checked(attributes, ANNOTATION_BOX, is_new=False)
                    return box
        raise NoSuchInstance("there is no annotation box of this UID in the last film box")

    # Presentation LUTs

    def create_presentation_lut(self, uid: str, attributes: JSON) -> str:
        """Create a Presentation LUT (PS3.4 H.4.9).

        Raises
        ------
        DuplicateInstance
            There is one of this UID.
        InvalidAttributeValue, MissingAttribute
            It is none.
        NoPrintMemory
            There are too many.
        """
        if uid in self._luts:
            raise DuplicateInstance("there is a Presentation LUT of this UID")
        if len(self._luts) >= LUTS_MAX:
            raise NoPrintMemory(f"more than {LUTS_MAX} Presentation LUTs")
        name = uid or new_uid()
        self._luts[name] = presentation_lut_of(attributes)
        return name

    def delete_presentation_lut(self, uid: str) -> None:
        """Delete a Presentation LUT; boxes that refer to it keep what it was (PS3.4 H.4.9.1.2.3)."""
        self._lut(uid)
        del self._luts[uid]

    # Inside

    def _session(self, uid: str) -> FilmSessionInstance:
        if self.film_session is None or self.film_session.uid != uid:
            raise NoSuchInstance("there is no film session of this UID on this association")
        return self.film_session

    def _referenced_session(self, attributes: JSON) -> FilmSessionInstance:
        uid = value(first_item(attributes, "ReferencedFilmSessionSequence"), "ReferencedSOPInstanceUID")
        if self.film_session is None or self.film_session.uid != uid:
            raise InvalidAttributeValue("there is no film session of the UID that is referenced")
        return self.film_session

    def _open_film_boxes(self) -> Sequence[FilmBoxInstance]:
        """Return the last film box, if there is one: no other can be changed."""
        return self.film_session.film_boxes[-1:] if self.film_session is not None else []

    def _last_film_box(self, uid: str) -> FilmBoxInstance:
        for box in self._open_film_boxes():
            if box.uid == uid:
                return box
        raise NoSuchInstance("this is not the film box that was created last")

    def _image_box(self, uid: str) -> tuple[FilmBoxInstance, ImageBoxInstance]:
        for film_box in self._open_film_boxes():
            for box in film_box.image_boxes:
                if box.uid == uid:
                    return film_box, box
        raise NoSuchInstance("there is no image box of this UID in the last film box")

    def _lut(self, uid: str) -> PresentationLut:
        if uid not in self._luts:
            raise NoSuchInstance("there is no Presentation LUT of this UID on this association")
        return self._luts[uid]

    def _referenced_lut(self, uid: str) -> PresentationLut:
        if uid not in self._luts:
            raise InvalidAttributeValue("there is no Presentation LUT of the UID that is referenced")
        return self._luts[uid]

    def _refer(self, box: FilmBoxInstance, attributes: JSON) -> None:
        """Have a film box refer to the Presentation LUT that was given."""
        uid = value(first_item(attributes, "ReferencedPresentationLUTSequence"), "ReferencedSOPInstanceUID")
        if uid:
            box.presentation_lut, box.presentation_lut_uid = self._referenced_lut(uid), uid

    def _check_copies(self, attributes: JSON) -> None:
        copies = number(attributes, "NumberOfCopies") or 1
        if copies > self.printer.copies_max:
            raise InvalidAttributeValue(f"printer {self.printer.name} makes {self.printer.copies_max} copies at most")

    def _check_medium(self, attributes: JSON) -> None:
        size = value(attributes, "FilmSizeID")
        if size and size not in self.printer.media:
            raise InvalidAttributeValue(f"printer {self.printer.name} has {', '.join(self.printer.media)}")

    def _check_fits(self, film_box: FilmBoxInstance, box: ImageBoxInstance) -> bool:
        """Tell whether an image is made smaller, or raise that it must not be (PS3.4 H.4.3.1.2.1.2)."""
        attributes, image = film_box.attributes, box.image
        assert image is not None
        magnification = value(box.attributes, "MagnificationType") or value(attributes, "MagnificationType")
        wanted_mm = _requested_size(box)
        size_id = value(attributes, "FilmSizeID") or self.printer.media[0]
        sheet = sheet_size_mm(size_id, value(attributes, "FilmOrientation"))
        rectangle = boxes_of(text_of(attributes, "ImageDisplayFormat"), *sheet)[box.position - 1]
        pixel_mm = 25.4 / self.printer.resolution_dpi
        vertical, horizontal = image.pixel_aspect_ratio
        proportion = image.rows * vertical / (image.columns * horizontal)
        if wanted_mm is not None:
            width_mm, height_mm = wanted_mm, wanted_mm * proportion
        elif magnification == "NONE":
            width_mm, height_mm = image.columns * pixel_mm, image.rows * pixel_mm
        else:
            return False
        if width_mm <= rectangle.width_mm + pixel_mm and height_mm <= rectangle.height_mm + pixel_mm:
            return False
        behavior = value(box.attributes, "RequestedDecimateCropBehavior") or "DECIMATE"
        if behavior == "FAIL" or (behavior == "DECIMATE" and magnification == "NONE"):
            raise ImageTooLarge(f"the image is larger than image box {box.position}")
        return True

    def _keep(self, image: ReceivedPixels, described: ReceivedImage) -> tuple[int, int]:
        """Copy the pixels of an image into the file of the association, little endian and not interlaced by planes."""
        sample_bytes = 1 if described.bits_stored == 8 else 2
        needed = described.rows * described.columns * described.samples_per_pixel * sample_bytes
        offset = self._pixels.seek(0, os.SEEK_END)
        if offset + needed > PIXELS_BYTES_MAX:
            raise NoPrintMemory("the images of this association are too large")
        try:
            for chunk in _pixel_chunks(image, described, needed):
                self._pixels.write(chunk)
            self._pixels.flush()
        except OSError as error:
            raise NoPrintMemory(f"an image cannot be kept: {error.strerror}") from error
        return offset, needed

    def _forget_pixels(self) -> None:
        """Give the room of images back that nobody has any more."""
        if self.film_session is None or not self.film_session.film_boxes:
            self._pixels.seek(0)
            self._pixels.truncate()

    def _print(self, boxes: Sequence[FilmBoxInstance]) -> Queued:
        """Make films of film boxes, durable when this returns."""
        assert self.film_session is not None
        session = self.film_session.attributes
        copies = number(session, "NumberOfCopies") or 1
        job_uid = new_uid()
        for box in boxes:
            film = self._film(box)
            request = FilmRequest(
                new_uid(),
                film,
                self.printer,
                self._requested_by,
                PRINT_SCU,
                value(session, "PrintPriority") or "MED",
                copies,
                job_uid,
            )
            queue_film(self._node, request, self._images(box))
        self.print_job_uids.append(job_uid)
        is_empty = any(not any(each.image for each in box.image_boxes) for box in boxes)
        return Queued(job_uid, is_empty, is_collated=copies == 1 or len(boxes) == 1)

    def _images(self, box: FilmBoxInstance) -> Iterator[tuple[str, Iterator[bytes]]]:
        for each in box.image_boxes:
            if each.image is not None:
                yield each.image.file, self._chunks(each.offset, each.size_bytes)

    def _chunks(self, offset: int, size_bytes: int) -> Iterator[bytes]:
        for start in range(0, size_bytes, CHUNK_BYTES):
            yield os.pread(self._pixels.fileno(), min(CHUNK_BYTES, size_bytes - start), offset + start)

    def _film(self, box: FilmBoxInstance) -> Film:
        """Return a copy of a film box as it is now."""
        assert self.film_session is not None
        session, of_box = self.film_session.attributes, box.attributes
        texts = {
            "film_size_id": "FilmSizeID", "film_orientation": "FilmOrientation",
            "magnification_type": "MagnificationType", "smoothing_type": "SmoothingType",
            "annotation_display_format_id": "AnnotationDisplayFormatID",
            "configuration_information": "ConfigurationInformation",
            "requested_resolution_id": "RequestedResolutionID", "border_density": "BorderDensity",
            "empty_image_density": "EmptyImageDensity", "trim": "Trim",
        }  # fmt: skip
        numbers = {
            "min_density": "MinDensity", "max_density": "MaxDensity", "illumination": "Illumination",
            "reflected_ambient_light": "ReflectedAmbientLight",
        }  # fmt: skip
        of_session = {
            "medium_type": "MediumType", "film_destination": "FilmDestination",
            "film_session_label": "FilmSessionLabel", "owner_id": "OwnerID",
        }  # fmt: skip
        given = {name: value(of_box, keyword) for name, keyword in texts.items() if value(of_box, keyword)}
        given |= {name: value(session, keyword) for name, keyword in of_session.items() if value(session, keyword)}
        return Film(
            text_of(of_box, "ImageDisplayFormat"),
            **given,
            **{name: number(of_box, keyword) for name, keyword in numbers.items()},
            is_colour=box.is_colour,
            presentation_lut=box.presentation_lut,
            boxes=tuple(_image_box_of(each) for each in box.image_boxes if each.image is not None),
            annotations=tuple(
                Annotation(each.position, value(each.attributes, "TextString"))
                for each in box.annotation_boxes
                if value(each.attributes, "TextString")
            ),
        )


def _image_box_of(box: ImageBoxInstance) -> ImageBox:
    assert box.image is not None
    attributes = box.attributes
    return ImageBox(
        box.position,
        box.image,
        value(attributes, "Polarity") or "NORMAL",
        value(attributes, "MagnificationType"),
        value(attributes, "SmoothingType"),
        text_of(attributes, "ConfigurationInformation"),
        number(attributes, "MinDensity"),
        number(attributes, "MaxDensity"),
        _requested_size(box),
        value(attributes, "RequestedDecimateCropBehavior") or "DECIMATE",
        box.presentation_lut,
    )


def _requested_size(box: ImageBoxInstance) -> float | None:
    """Return the Requested Image Size of an image box [mm]."""
    text = value(box.attributes, "RequestedImageSize")
    if not text:
        return None
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0.1 <= size <= 10_000:
        raise InvalidAttributeValue(f"RequestedImageSize {text[:20]!r} is no width in mm")
    return size


def _described(image: ReceivedPixels, position: int, is_colour: bool) -> ReceivedImage:
    """Return what an image is.

    Raises
    ------
    InvalidAttributeValue
        It is none that can be printed (PS3.3 C.13.5.1).
    MissingAttribute
        An attribute is missing.
    ImageTooLarge
        It has too many pixels.
    """
    attributes = image.attributes
    names = ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    for keyword in (*names, "PhotometricInterpretation"):
        if not text_of(attributes, keyword):
            raise MissingAttributeValue(f"{keyword} of the image is missing")
    samples, rows, columns, allocated, stored, high, representation = (number(attributes, name) for name in names)
    assert rows is not None and columns is not None and samples is not None
    photometric = value(attributes, "PhotometricInterpretation")
    bits = (allocated, stored, high)
    if is_colour:
        planar = number(attributes, "PlanarConfiguration")
        is_possible = photometric == "RGB" and samples == 3 and bits == (8, 8, 7) and planar in (0, 1)
    else:
        is_possible = photometric in ("MONOCHROME1", "MONOCHROME2") and samples == 1
        is_possible = is_possible and bits in ((8, 8, 7), (16, 12, 11))
    if not is_possible or representation != 0 or not rows or not columns:
        raise InvalidAttributeValue(
            f"an image of {photometric[:16]}, {samples} samples, bits {allocated}/{stored}/{high} is not printed here"
        )
    if rows * columns > IMAGE_PIXELS_MAX:
        raise ImageTooLarge(f"{rows} x {columns} pixels are more than {IMAGE_PIXELS_MAX}")
    if image.size_bytes < rows * columns * samples * (1 if stored == 8 else 2):
        raise InvalidAttributeValue("Pixel Data is shorter than Rows and Columns say")
    aspect = _aspect_ratio(attributes)
    return ReceivedImage(str(position), rows, columns, samples, stored or 8, photometric, aspect)


def _aspect_ratio(attributes: JSON) -> tuple[int, int]:
    text = text_of(attributes, "PixelAspectRatio")
    if not text:
        return (1, 1)
    try:
        vertical, horizontal = (int(part) for part in text.split("\\"))
    except ValueError:
        vertical = horizontal = 0
    if not (0 < vertical <= 65535 and 0 < horizontal <= 65535 and 1 / 100 <= vertical / horizontal <= 100):
        raise InvalidAttributeValue(f"PixelAspectRatio {text[:20]!r} is none")
    return vertical, horizontal


def _pixel_chunks(image: ReceivedPixels, described: ReceivedImage, needed: int) -> Iterator[bytes]:
    """Yield pixels, little endian, those of colours with Planar Configuration 0."""
    image.file.seek(image.offset)
    if described.samples_per_pixel == 3 and number(image.attributes, "PlanarConfiguration") == 1:
        planes = image.file.read(needed)
        count = needed // 3
        interlaced = bytearray(needed)
        for index in range(3):
            interlaced[index::3] = planes[index * count : (index + 1) * count]
        yield bytes(interlaced)
        return
    is_swapped = described.bits_stored != 8 and image.is_big_endian
    for start in range(0, needed, CHUNK_BYTES):
        chunk = image.file.read(min(CHUNK_BYTES, needed - start))
        if is_swapped:
            swapped = bytearray(len(chunk))
            swapped[0::2], swapped[1::2] = chunk[1::2], chunk[0::2]
            chunk = bytes(swapped)
        yield chunk


def is_cropped(box: ImageBoxInstance) -> bool:
    """Tell whether what is too large of an image is cut off, and not made smaller."""
    return value(box.attributes, "RequestedDecimateCropBehavior") == "CROP"


def presentation_lut_of(attributes: JSON) -> PresentationLut:
    """Return the Presentation LUT that attributes describe (PS3.3 C.11.4).

    Raises
    ------
    MissingAttribute, InvalidAttributeValue
        They describe none.
    """
    shape = value(attributes, "PresentationLUTShape")
    item = first_item(attributes, "PresentationLUTSequence")
    if shape and not item:
        if shape not in ("IDENTITY", "LIN OD"):
            raise InvalidAttributeValue(f"PresentationLUTShape {shape[:16]!r} is not IDENTITY or LIN OD")
        return PresentationLut(shape)
    if not item or shape:
        raise MissingAttribute("either Presentation LUT Shape or Presentation LUT Sequence is needed")
    try:
        length, first, bits = (int(part) for part in text_of(item, "LUTDescriptor").split("\\"))
        table = tuple(int(part) for part in text_of(item, "LUTData").split("\\"))
    except ValueError:
        raise InvalidAttributeValue("the LUT Descriptor or the LUT Data is none") from None
    if length not in (256, 4096) or first != 0 or not 10 <= bits <= 16 or len(table) != length:
        raise InvalidAttributeValue("a Presentation LUT has 256 or 4096 entries of 10 to 16 bits, from 0")
    if max(table) >= 1 << bits:
        raise InvalidAttributeValue("the LUT Data has entries beyond its bits")
    return PresentationLut("", first, bits, table)


def film_session_attributes(session: FilmSessionInstance) -> JSON:
    """Return what a film session is set to."""
    return session.attributes


def film_box_attributes(
    session: FilmSessionInstance, box: FilmBoxInstance, image_box_class: str, classes: Mapping[str, str]
) -> JSON:
    """Return what a film box is set to, with references to its session and its boxes.

    Parameters
    ----------
    session, box
        The film session and the film box.
    image_box_class : str
        The SOP class of its image boxes.
    classes : mapping of str to str
        The SOP Class UIDs of film sessions, annotation boxes and Presentation LUTs, by `session`, `annotation`, `lut`.
    """
    told = dict(box.attributes)
    told |= data_set(
        ReferencedFilmSessionSequence=[_reference(classes["session"], session.uid)],
        ReferencedImageBoxSequence=[_reference(image_box_class, each.uid) for each in box.image_boxes],
    )
    if box.annotation_boxes:
        boxes = [_reference(classes["annotation"], each.uid) for each in box.annotation_boxes]
        told |= data_set(ReferencedBasicAnnotationBoxSequence=boxes)
    if box.presentation_lut_uid:
        told |= data_set(ReferencedPresentationLUTSequence=[_reference(classes["lut"], box.presentation_lut_uid)])
    return told


def _reference(sop_class_uid: str, sop_instance_uid: str) -> JSON:
    return data_set(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)
