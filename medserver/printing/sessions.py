"""What a Print SCU makes on one association: film session, film boxes, image boxes, annotations and presentation LUTs.

It is kept in memory (`instances`), but for the pixels, which wait in a file without a name (`pixels`); all of it goes
with the association. What is to be printed is copied into a `Film` of its own and made durable, see `copying` and
`queue`. Only the film box that was created last and its boxes are changed, printed or deleted. Nothing is known here of
DIMSE: see `medserver.services.printing`.

References
----------
PS3.4 H.2.2, PS3.4 H.4
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from medserver.config import Printer
from medserver.dicom.json_model import JSON
from medserver.dicom.uids import new_uid
from medserver.errors import (
    ClassInstanceConflict,
    DuplicateInstance,
    EmptyFilmSession,
    FilmSessionQueueFull,
    InvalidAttributeValue,
    MissingAttribute,
    MissingAttributeValue,
    NoPrintMemory,
    NoSuchInstance,
    OutOfResources,
    PrintQueueFull,
    StoreFailure,
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
from medserver.printing.copying import ICC_PROFILE, film_of_box, icc_profile_of, is_beyond_printer
from medserver.printing.film import PresentationLut
from medserver.printing.fitting import misfit_of, requested_size_mm
from medserver.printing.instances import (
    AnnotationBoxInstance,
    FilmBoxInstance,
    FilmSessionInstance,
    ImageBoxInstance,
    ReferencedLut,
)
from medserver.printing.layout import check_boxes, count_of
from medserver.printing.pixels import PIXELS_BYTES_MAX, PixelFile, ReceivedPixels, described, pixel_chunks
from medserver.printing.presentation_luts import fits, presentation_lut_of
from medserver.printing.printer_states import PrinterState
from medserver.printing.queue import PRINT_SCU, FilmRequest, queue_together
from medserver.printing.remarks import Remark
from medserver.workitems.content import data_set, first_item, has, has_value, value

FILM_BOXES_MAX = 100
LUTS_MAX, LUT_ENTRIES_MAX = 256, 1 << 18
"""How many Presentation LUTs an association has, and how many entries all of their tables: they are in memory."""

ICC_PROFILES_MAX_BYTES = 1 << 24
"""How long all ICC profiles of an association are together; film boxes with the same one share it."""

COLLATED_FILMS_MAX = 100
"""How many sheets the copies of a film session may be so that they come in the order 1, 2, 1, 2."""

ANNOTATION_BOXES = 6


@dataclass(frozen=True, slots=True)
class Queued:
    """What was given to the printer.

    Parameters
    ----------
    print_job_uid : str
        The UID of the print job, which is all the films that were printed together.
    remarks : frozenset of Remark
        What is remarked about it.
    """

    print_job_uid: str
    remarks: frozenset[Remark]


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

    Attributes
    ----------
    film_session : FilmSessionInstance or None
        The film session, None while there is none.
    """

    def __init__(self, node: Node, printer: Printer, requested_by: str) -> None:
        self._node = node
        self.printer = printer
        self._requested_by = requested_by
        self.printer_state: PrinterState | None = None
        self._luts: dict[str, PresentationLut] = {}
        self.film_session: FilmSessionInstance | None = None
        self._pixels: PixelFile | None = None

    def close(self) -> None:
        """Forget everything: the association has ended (PS3.4 H.5)."""
        self.film_session = None
        self._luts.clear()
        if self._pixels is not None:
            self._pixels.close()

    # Film session

    def create_film_session(self, uid: str, attributes: JSON) -> tuple[FilmSessionInstance, frozenset[Remark]]:
        """Create the film session (PS3.4 H.4.1.2.1).

        Raises
        ------
        DuplicateInstance
            There is one: an association has one at a time.
        InvalidAttributeValue
            A value cannot be.
        """
        if self.film_session is not None:
            raise DuplicateInstance("there is a film session on this association")
        self._check_new(uid)
        made = FilmSessionInstance(uid or new_uid(), {})
        remarks = self._changed_session(made, attributes, is_new=True)
        self.film_session = made
        return made, remarks

    def set_film_session(self, uid: str, attributes: JSON) -> tuple[FilmSessionInstance, frozenset[Remark]]:
        """Change the film session (PS3.4 H.4.1.2.2).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no film session of this UID.
        InvalidAttributeValue
            A value cannot be.
        """
        session = self._session(uid)
        return session, self._changed_session(session, attributes, is_new=False)

    def _changed_session(
        self, session: FilmSessionInstance, attributes: JSON, *, is_new: bool
    ) -> frozenset[Remark]:
        kept = checked(attributes, FILM_SESSION, is_new=is_new)
        lut = self._referenced_lut(attributes)
        remarks = set()
        if (number(kept, "NumberOfCopies") or 1) > self.printer.copies_max:
            kept |= data_set(NumberOfCopies=self.printer.copies_max)
            remarks.add(Remark.OUT_OF_RANGE)
        if has_value(attributes, "MemoryAllocation"):
            kept |= data_set(MemoryAllocation=None)
            remarks.add(Remark.NO_MEMORY_ALLOCATED)
        session.attributes = session.attributes | kept
        session.lut = lut or session.lut
        return frozenset(remarks)

    def delete_film_session(self, uid: str) -> None:
        """Delete the film session and all below it (PS3.4 H.4.1.2.3).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no film session of this UID.
        """
        session = self._session(uid)
        for box in session.film_boxes:
            self._forget_pixels(box)
        self.film_session = None

    def print_film_session(self, uid: str) -> Queued:
        """Print all film boxes of the film session (PS3.4 H.4.1.2.4).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no film session of this UID.
        EmptyFilmSession
            It has no film box.
        FilmSessionQueueFull
            Too many films wait, or there is no space for their images: none of them is printed.
        ImageTooLarge
            An image has become larger than its box.
        """
        session = self._session(uid)
        if not session.film_boxes:
            raise EmptyFilmSession("the film session has no film box")
        try:
            return self._print(session, session.film_boxes)
        except PrintQueueFull as error:
            raise FilmSessionQueueFull(str(error)) from error

    # Film boxes

    def create_film_box(
        self, uid: str, attributes: JSON, *, is_colour: bool, has_annotations: bool
    ) -> tuple[FilmBoxInstance, frozenset[Remark]]:
        """Create a film box with its image and annotation boxes (PS3.4 H.4.2.2.1).

        Raises
        ------
        MissingAttribute, MissingAttributeValue, InvalidAttributeValue
            An attribute is missing, or cannot be: the film session that it names, for one.
        DuplicateInstance
            There is something of this UID.
        NoPrintMemory
            There are too many film boxes.
        """
        kept = checked(attributes, FILM_BOX, is_new=True)
        session = self._referenced_session(attributes)
        self._check_new(uid)
        if len(session.film_boxes) >= FILM_BOXES_MAX:
            raise NoPrintMemory(f"more than {FILM_BOXES_MAX} film boxes")
        count = count_of(text_of(attributes, "ImageDisplayFormat"))
        self._check_medium(kept)
        size = value(kept, "FilmSizeID") or self.printer.media[0]
        check_boxes(text_of(kept, "ImageDisplayFormat"), size, value(kept, "FilmOrientation"))
        box = FilmBoxInstance(
            uid or new_uid(),
            is_colour,
            kept,
            [ImageBoxInstance(new_uid(), position) for position in range(1, count + 1)],
            [AnnotationBoxInstance(new_uid(), position) for position in range(1, ANNOTATION_BOXES + 1)]
            if has_annotations
            else [],
            self._referenced_lut(attributes),
            self._icc_profile(session, attributes) if is_colour else b"",
        )
        remarks = self._density_remarks(kept, kept)
        session.film_boxes.append(box)
        return box, remarks

    def set_film_box(self, uid: str, attributes: JSON) -> tuple[FilmBoxInstance, frozenset[Remark]]:
        """Change the last film box (PS3.4 H.4.2.2.2).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            This is not the last film box.
        InvalidAttributeValue
            A value cannot be, or not with the images that there are.
        NoPrintMemory
            There is no room for its ICC profile.
        """
        box = self._last_film_box(uid)
        kept = checked(attributes, FILM_BOX, is_new=False)
        becomes = box.attributes | kept
        lut = self._referenced_lut(attributes) or box.lut
        remarks = self._density_remarks(becomes, kept)
        for each in box.image_boxes:
            _check_lut(each, each.lut or lut)
        if box.is_colour and has(attributes, "ICCProfile"):
            assert self.film_session is not None
            box.icc_profile = self._icc_profile(self.film_session, attributes)
        box.attributes, box.lut = becomes, lut
        return box, remarks

    def delete_film_box(self, uid: str) -> None:
        """Delete the last film box and its boxes (PS3.4 H.4.2.2.3).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            This is not the last film box.
        """
        box = self._last_film_box(uid)
        assert self.film_session is not None
        self.film_session.film_boxes.remove(box)
        self._forget_pixels(box)

    def print_film_box(self, uid: str) -> Queued:
        """Print the last film box (PS3.4 H.4.2.2.4).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            This is not the last film box.
        PrintQueueFull
            Too many films wait, or there is no space for its images.
        ImageTooLarge
            An image has become larger than its box.
        """
        box = self._last_film_box(uid)
        assert self.film_session is not None
        return self._print(self.film_session, [box])

    # Image boxes and annotation boxes

    def set_image_box(
        self, uid: str, attributes: JSON, image: ReceivedPixels | None, *, is_colour: bool, erases: bool
    ) -> tuple[ImageBoxInstance, frozenset[Remark]]:
        """Change an image box of the last film box (PS3.4 H.4.3.1.2.1).

        Parameters
        ----------
        uid : str
            Which.
        attributes : JSON
            What was given, without the image.
        image : ReceivedPixels or None
            The image, if one was given: it takes the place of that before it, with all that was set.
        is_colour : bool
            Whether it is meant as an image box for colours.
        erases : bool
            Whether an empty image sequence was given.

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no such image box in the last film box.
        MissingAttributeValue, InvalidAttributeValue
            Something is missing, or cannot be.
        ImageTooLarge
            The image is larger than its box, and must not be made smaller.
        NoPrintMemory
            There is no room for it.
        """
        film_box, box = self._image_box(uid, is_colour=is_colour)
        kept = checked(attributes, IMAGE_BOX, is_new=False)
        given = number(attributes, "ImageBoxPosition")
        if given is not None and given != box.position:
            raise InvalidAttributeValue(f"the Image Box Position of this image box is {box.position}")
        becomes = replace(box, attributes=kept if image is not None else box.attributes | kept)
        requested_size_mm(becomes.attributes)
        lut = self._referenced_lut(attributes)
        becomes.lut = lut if image is not None else lut or box.lut
        if erases:
            becomes.image = None
        elif image is not None:
            becomes.image = described(image, box.position, is_colour=is_colour)
        remarks = set(self._density_remarks(becomes.attributes, kept))
        if becomes.image is not None:
            _check_lut(becomes, becomes.lut or film_box.lut)
            remarks |= {misfit_of(self.printer, film_box, becomes)} - {None}
        self._keep_pixels(box, becomes, image)
        film_box.image_boxes[box.position - 1] = becomes
        return becomes, frozenset(remarks)

    def _keep_pixels(self, box: ImageBoxInstance, becomes: ImageBoxInstance, image: ReceivedPixels | None) -> None:
        """Keep a new image, and give the room of the one before it back, in this order: failing changes nothing."""
        if image is not None and becomes.image is not None:
            what = becomes.image
            if self._pixels is None:
                config = self._node.config.current
                free_min_bytes = config.primary_volume.free_min_bytes
                self._pixels = PixelFile(config.node.data, free_min_bytes=free_min_bytes)
            sample_bytes = 1 if what.bits_stored == 8 else 2
            becomes.size_bytes = what.rows * what.columns * what.samples_per_pixel * sample_bytes
            becomes.offset = self._pixels.put(pixel_chunks(image, what), becomes.size_bytes)
        elif becomes.image is not None:
            return
        if box.image is not None and self._pixels is not None:
            self._pixels.remove(box.offset)

    def set_annotation_box(self, uid: str, attributes: JSON) -> AnnotationBoxInstance:
        """Change an annotation box of the last film box (PS3.4 H.4.4.2.1).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no such annotation box in the last film box.
        InvalidAttributeValue
            A value cannot be.
        """
        for film_box in self._open_film_boxes():
            for box in film_box.annotation_boxes:
                if box.uid == uid:
                    given = number(attributes, "AnnotationPosition")
                    if given not in (None, box.position):
                        raise InvalidAttributeValue(f"the Annotation Position of this box is {box.position}")
                    box.attributes = box.attributes | checked(attributes, ANNOTATION_BOX, is_new=False)
                    return box
        raise self._none("annotation box in the last film box", uid)

    # Presentation LUTs

    def create_presentation_lut(self, uid: str, attributes: JSON) -> str:
        """Create a Presentation LUT (PS3.4 H.4.9.2.1).

        Raises
        ------
        DuplicateInstance
            There is something of this UID.
        InvalidAttributeValue, MissingAttribute, MissingAttributeValue
            It is none.
        NoPrintMemory
            There are too many.
        """
        self._check_new(uid)
        if len(self._luts) >= LUTS_MAX:
            raise NoPrintMemory(f"more than {LUTS_MAX} Presentation LUTs")
        lut = presentation_lut_of(attributes)
        if len(lut.table) + sum(len(each.table) for each in self._luts.values()) > LUT_ENTRIES_MAX:
            raise NoPrintMemory(f"Presentation LUTs of more than {LUT_ENTRIES_MAX} entries")
        name = uid or new_uid()
        self._luts[name] = lut
        return name

    def delete_presentation_lut(self, uid: str) -> None:
        """Delete a Presentation LUT; what refers to it keeps what it was (PS3.4 H.4.9.2.2.2).

        Raises
        ------
        NoSuchInstance, ClassInstanceConflict
            There is no Presentation LUT of this UID.
        """
        if uid not in self._luts:
            raise self._none("Presentation LUT", uid)
        del self._luts[uid]

    # Inside

    def _uids(self) -> Iterator[str]:
        yield from self._luts
        if self.film_session is not None:
            yield from self.film_session.uids()

    def _check_new(self, uid: str) -> None:
        if uid and uid in self._uids():
            raise DuplicateInstance("there is an instance of this UID on this association")

    def _none(self, what: str, uid: str) -> NoSuchInstance | ClassInstanceConflict:
        """Return why there is no instance of a SOP class: there is none, or it is something else."""
        if uid and uid in self._uids():
            return ClassInstanceConflict(f"the instance of this UID is no {what}")
        return NoSuchInstance(f"there is no {what} of this UID")

    def _session(self, uid: str) -> FilmSessionInstance:
        if self.film_session is None or self.film_session.uid != uid:
            raise self._none("film session", uid)
        return self.film_session

    def _referenced_session(self, attributes: JSON) -> FilmSessionInstance:
        if not has_value(attributes, "ReferencedFilmSessionSequence"):
            is_empty = has(attributes, "ReferencedFilmSessionSequence")
            raise (MissingAttributeValue if is_empty else MissingAttribute)("ReferencedFilmSessionSequence is missing")
        uid = value(first_item(attributes, "ReferencedFilmSessionSequence"), "ReferencedSOPInstanceUID")
        if self.film_session is None or self.film_session.uid != uid:
            raise InvalidAttributeValue("there is no film session of the UID that is referenced")
        return self.film_session

    @staticmethod
    def _icc_profile(session: FilmSessionInstance, attributes: JSON) -> bytes:
        """Return the ICC profile that is given to a film box: the same object where another one has the same.

        Raises
        ------
        InvalidAttributeValue
            It is not encoded as one.
        NoPrintMemory
            There is no room for it.
        """
        known = {box.icc_profile: box.icc_profile for box in session.film_boxes}
        given = icc_profile_of(attributes)
        if given not in known and len(given) + sum(map(len, known)) > ICC_PROFILES_MAX_BYTES:
            raise NoPrintMemory(f"ICC profiles of more than {ICC_PROFILES_MAX_BYTES} bytes")
        return known.get(given, given)

    def _open_film_boxes(self) -> Sequence[FilmBoxInstance]:
        """Return the last film box, if there is one: no other can be changed."""
        return self.film_session.film_boxes[-1:] if self.film_session is not None else []

    def _last_film_box(self, uid: str) -> FilmBoxInstance:
        for box in self._open_film_boxes():
            if box.uid == uid:
                return box
        is_earlier = self.film_session is not None and any(uid == box.uid for box in self.film_session.film_boxes)
        raise NoSuchInstance("this is not the last film box") if is_earlier else self._none("film box", uid)

    def _image_box(self, uid: str, *, is_colour: bool) -> tuple[FilmBoxInstance, ImageBoxInstance]:
        for film_box in self._open_film_boxes():
            for box in film_box.image_boxes:
                if box.uid == uid and film_box.is_colour is not is_colour:
                    raise ClassInstanceConflict(f"the image box is {'' if film_box.is_colour else 'not '}for colours")
                if box.uid == uid:
                    return film_box, box
        raise self._none("image box in the last film box", uid)

    def _referenced_lut(self, attributes: JSON) -> ReferencedLut | None:
        """Return the Presentation LUT that is referred to, if one is."""
        uid = value(first_item(attributes, "ReferencedPresentationLUTSequence"), "ReferencedSOPInstanceUID")
        if not uid:
            return None
        if uid not in self._luts:
            raise InvalidAttributeValue("there is no Presentation LUT of the UID that is referenced")
        return ReferencedLut(uid, self._luts[uid])

    def _check_medium(self, attributes: JSON) -> None:
        size = value(attributes, "FilmSizeID")
        if size and size not in self.printer.media:
            raise InvalidAttributeValue(f"printer {self.printer.name} has {', '.join(self.printer.media)}")

    def _density_remarks(self, attributes: JSON, given: JSON) -> frozenset[Remark]:
        """Return what is remarked about the densities that were given.

        Raises
        ------
        InvalidAttributeValue
            The lowest is higher than the highest.
        """
        lowest, highest = number(attributes, "MinDensity"), number(attributes, "MaxDensity")
        if lowest is not None and highest is not None and lowest > highest:
            raise InvalidAttributeValue("Min Density is higher than Max Density")
        medium_type = "" if self.film_session is None else value(self.film_session.attributes, "MediumType")
        is_clipped = is_beyond_printer(self.printer, medium_type, given)
        return frozenset({Remark.DENSITY_CLIPPED} if is_clipped else ())

    def _forget_pixels(self, film_box: FilmBoxInstance) -> None:
        """Give the room of the images of a film box back."""
        for box in film_box.image_boxes:
            if box.image is not None and self._pixels is not None:
                self._pixels.remove(box.offset)
                box.image = None

    def _print(self, session: FilmSessionInstance, boxes: Sequence[FilmBoxInstance]) -> Queued:
        """Make films of film boxes, durable when this returns."""
        remarks = {
            misfit_of(self.printer, film_box, box)
            for film_box in boxes
            for box in film_box.image_boxes
            if box.image is not None
        } - {None}
        if any(not any(box.image for box in film_box.image_boxes) for film_box in boxes):
            remarks.add(Remark.EMPTY_FILM)
        copies = number(session.attributes, "NumberOfCopies") or 1
        sheets, copies_each = self._in_order(boxes, copies)
        if copies > 1 and copies_each > 1 and len(boxes) > 1:
            remarks.add(Remark.NOT_COLLATED)
        job_uid = new_uid()
        wanted = []
        for film_box in sheets:
            request = FilmRequest(
                new_uid(),
                film_of_box(self.printer, session, film_box),
                self.printer,
                self._requested_by,
                PRINT_SCU,
                value(session.attributes, "PrintPriority") or "MED",
                copies_each,
                job_uid,
            )
            wanted.append((request, self._images(film_box)))
        try:
            queue_together(self._node, wanted)
        except (OutOfResources, StoreFailure) as error:  # an imager has no better word for it (PS3.4 H.4.2.2.4.2)
            raise PrintQueueFull(f"the films cannot be kept: {error}") from error
        return Queued(job_uid, frozenset(remarks))

    def _in_order(self, boxes: Sequence[FilmBoxInstance], copies: int) -> tuple[list[FilmBoxInstance], int]:
        """Return the films in the order in which they are printed, and how often each is: copies are collated.

        Those of a session that is too large for this come together: each film of its own is kept on a volume.
        """
        size_bytes = sum(box.size_bytes for film_box in boxes for box in film_box.image_boxes if box.image)
        is_small = len(boxes) * copies <= COLLATED_FILMS_MAX and size_bytes * copies <= PIXELS_BYTES_MAX
        if len(boxes) > 1 and is_small:
            return [box for _ in range(copies) for box in boxes], 1
        return list(boxes), copies

    def _images(self, film_box: FilmBoxInstance) -> Iterator[tuple[str, Iterable[bytes]]]:
        for box in film_box.image_boxes:
            if box.image is not None and self._pixels is not None:
                yield box.image.file, self._pixels.get(box.offset)
        if film_box.icc_profile:
            yield ICC_PROFILE, [film_box.icc_profile]


def _check_lut(box: ImageBoxInstance, lut: ReferencedLut | None) -> None:
    """Check that a Presentation LUT is for the bits of an image (PS3.4 H.4.9.2.1.1.1)."""
    if box.image is None or lut is None or box.image.samples_per_pixel != 1:
        return
    if not fits(lut.lut, box.image.bits_stored):
        entries, bits = len(lut.lut.table), box.image.bits_stored
        raise InvalidAttributeValue(f"a Presentation LUT of {entries} entries is not for images of {bits} bits")
