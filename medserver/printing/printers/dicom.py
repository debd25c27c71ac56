"""A DICOM imager (Basic Print Management, PS3.4 H): its own image boxes are filled, and it composes the film."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import IO, Any

from pydicom.dataset import Dataset

from medserver.config import Config, Printer
from medserver.dicom import print_classes as classes
from medserver.errors import CannotRender, PrinterRefused
from medserver.printing.density import LIN_OD, Viewing, linear_table, viewing_of
from medserver.printing.film import Film, ImageBox, PresentationLut
from medserver.printing.images import GatheredImage
from medserver.printing.printers.printer import FAILURE, NORMAL, WARNING, Handover, PrinterStatus, Progress
from medserver.scu.printing import PROPOSALS, FilmOrder, Imager
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, associated

NO_PRINT_JOB = "no Print Job"
"""What a film is called that an imager without Print Jobs has taken."""

TEXT_LENGTH_MAX = 64

_NOT_SENT: Mapping[str, object] = {
    "Trim": "NO",
    "RequestedDecimateCropBehavior": "DECIMATE",
    "BorderDensity": "BLACK",
    "EmptyImageDensity": "BLACK",
}
"""What is as it is where nobody says it: imagers that do not know the attribute refuse it for that."""


class DicomImager:
    """An imager. See `printer.Output`.

    Parameters
    ----------
    config : Config
        Who we are, and where the imager is.
    printer : Printer
        Its entry.
    """

    def __init__(self, config: Config, printer: Printer) -> None:
        self._config = config
        self._printer = printer

    def status(self) -> PrinterStatus:
        """Return its Printer Status (PS3.4 H.4.6)."""
        with self._associated() as imager_of:
            imager = imager_of(False)
            if not imager.has(classes.PRINTER):
                raise PrinterRefused(f"{self._printer.destination} serves no Print Management")
            state, info = imager.printer_status()
        state = state if state in (NORMAL, WARNING, FAILURE) else WARNING
        return PrinterStatus(state, info, "" if state == NORMAL else f"it says {state} {info}".rstrip())

    def beginning(self, name: str) -> AbstractContextManager[None]:
        """Do nothing: what the printer has begun to get it can only be asked for."""
        del name
        return nullcontext()

    def hand_over(self, handover: Handover) -> str:
        """Print a film, and return the UID of its Print Job.

        Raises
        ------
        CannotRender
            The imager cannot get so many copies.
        PrinterRefused
            It has not been told to print, or has refused to.
        RemoteError
            It has been told to print, and has not answered.
        """
        if handover.copies > 1 and not self._is_sent("NumberOfCopies"):
            raise CannotRender(f"printer {self._printer.name} is not told a number of copies by its entry")
        with self._associated() as imager_of:
            imager = imager_of(handover.film.is_colour and self._printer.colour)
            boxed = self._boxed(handover.film) if imager.has(classes.ANNOTATION_BOX) else {}
            others = [each.text_string for each in handover.film.annotations if each.annotation_position not in boxed]
            has_lut = self._is_sent("ReferencedPresentationLUTSequence") and imager.has(classes.PRESENTATION_LUT)
            film = _in_p_values(replace(handover.film, heading=(*handover.film.heading, *others)), has_lut)
            with handover.image_boxes(film, self._printer.bits, imager.is_colour) as (file, images):
                order = self._order(replace(handover, film=film), has_lut, file, images, boxed)
            return imager.print_film(order) or NO_PRINT_JOB

    def find(self, name: str) -> str | None:
        """Tell that it cannot be asked."""
        del name
        return None

    def has_not_taken(self, name: str) -> bool:
        """Tell that nobody knows: an imager has no way to be asked for a film."""
        del name
        return False

    def follow(self, reference: str) -> Progress:
        """Return the Execution Status of a Print Job; an imager that has none any more has taken the film."""
        if reference == NO_PRINT_JOB:
            return Progress("DONE", "NORMAL", "the imager has taken it; it has no Print Jobs that tell more")
        with self._associated() as imager_of:
            found = imager_of(False).print_job(reference)
        if found is None:
            return Progress("DONE", "NORMAL", "the imager has taken it, and its Print Job has ended")
        state, info = found
        state = state if state in ("PENDING", "PRINTING", "DONE", "FAILURE") else "PRINTING"
        return Progress(state, info, f"Print Job {reference}: {state} {info}".rstrip())

    def cancel(self, reference: str) -> bool:
        """Tell that an imager takes nothing back."""
        del reference
        return False

    @contextmanager
    def _associated(self) -> Iterator[Callable[[bool], Imager]]:
        """Give what makes an `Imager` of an association, which is released behind what is done.

        Raises
        ------
        PrinterRefused
            There is no such entry.
        RemoteError
            There is no association.
        """
        name = self._printer.destination
        remote = self._config.remote_by_name(name)
        if remote is None or not remote.host or not remote.port:
            raise PrinterRefused(f"there is no entry [ae {name}] with an address and a port")
        limits = WireLimits.from_options(self._config.limits)
        with associated(Address.of(remote), PROPOSALS, self._config.node.ae_title, limits) as association:
            yield lambda is_colour: Imager(association, is_colour)

    def _order(
        self,
        handover: Handover,
        has_lut: bool,
        file: IO[bytes],
        images: tuple[GatheredImage, ...],
        annotations: Mapping[int, str],
    ) -> FilmOrder:
        film = handover.film
        boxes = {box.image_box_position: box for box in film.boxes}
        light = film.illumination, film.reflected_ambient_light
        film_box = self._dataset(
            ImageDisplayFormat=film.image_display_format,
            FilmOrientation=film.film_orientation,
            FilmSizeID=film.film_size_id or self._printer.media[0],
            MagnificationType=film.magnification_type,
            SmoothingType=film.smoothing_type,
            MaxDensity=film.max_density,
            MinDensity=film.min_density,
            BorderDensity=film.border_density,
            EmptyImageDensity=film.empty_image_density,
            Trim=film.trim,
            ConfigurationInformation=film.configuration_information,
            AnnotationDisplayFormatID=film.annotation_display_format_id,
            RequestedResolutionID=film.requested_resolution_id,
            Illumination=light[0] if has_lut else None,
            ReflectedAmbientLight=light[1] if has_lut else None,
        )
        return FilmOrder(
            self._session(handover),
            film_box,
            self._presentation_lut(film) if has_lut else None,
            {each.image_box_position: self._image_box(boxes[each.image_box_position], each, file) for each in images},
            annotations,
        )

    def _session(self, handover: Handover) -> Dataset:
        film = handover.film
        return self._dataset(
            NumberOfCopies=str(handover.copies),
            PrintPriority=handover.priority,
            MediumType=film.medium_type,
            FilmDestination=film.film_destination,
            FilmSessionLabel=(film.film_session_label or handover.label)[:TEXT_LENGTH_MAX],
            OwnerID=film.owner_id,
        )

    def _presentation_lut(self, film: Film) -> Dataset:
        """Return the Presentation LUT: tables are applied already, and leave P-values."""
        lut = Dataset()
        lut.PresentationLUTShape = film.presentation_lut.shape or "IDENTITY"
        return lut

    def _image_box(self, box: ImageBox, image: GatheredImage, file: IO[bytes]) -> Dataset:
        width_mm = box.requested_image_size_mm
        if box.is_true_size and image.spacing_mm is not None:
            width_mm = image.columns * image.spacing_mm[1]
        attributes = self._dataset(
            ImageBoxPosition=box.image_box_position,
            MagnificationType=box.magnification_type,
            SmoothingType=box.smoothing_type,
            ConfigurationInformation=box.configuration_information,
            MaxDensity=box.max_density,
            MinDensity=box.min_density,
            RequestedImageSize=None if width_mm is None else f"{width_mm:.6g}",
            RequestedDecimateCropBehavior=box.requested_decimate_crop_behavior,
        )
        pixels = _image(image, os.pread(file.fileno(), image.size_bytes, image.offset))
        if image.samples_per_pixel == 3:
            attributes.BasicColorImageSequence = [pixels]
        else:
            attributes.BasicGrayscaleImageSequence = [pixels]
        return attributes

    def _dataset(self, **values: Any) -> Dataset:
        """Return a data set of those attributes that have a value, and that the imager gets.

        Specific Character Set is no attribute of a film session or film box (PS3.4 H.4.1, H.4.2): dcmprscp refuses a
        film for it (0105). So what people call the film is sent in ASCII.
        """
        dataset = Dataset()
        for keyword, value in values.items():
            if value in (None, "") or value == _NOT_SENT.get(keyword):
                continue
            if keyword in ("ImageDisplayFormat", "ImageBoxPosition") or self._is_sent(keyword):
                setattr(dataset, keyword, _ascii(value) if isinstance(value, str) else value)
        return dataset

    def _boxed(self, film: Film) -> dict[int, str]:
        """Return the texts for annotation boxes, which know no Specific Character Set (PS3.4 H.4.4.2.1).

        Without an Annotation Display Format ID nobody knows whether there are any, and where.
        """
        has_format = film.annotation_display_format_id and self._is_sent("AnnotationDisplayFormatID")
        return {
            each.annotation_position: each.text_string
            for each in film.annotations
            if has_format and each.text_string.isascii() and len(each.text_string) <= TEXT_LENGTH_MAX
        }

    def _is_sent(self, keyword: str) -> bool:
        return self._printer.attributes is None or keyword in self._printer.attributes


def _in_p_values(film: Film, takes_lin_od: bool) -> Film:
    """Return a film whose images are P-values, or linear densities where the imager is told so for all of them.

    Where it is not, a table has the P-values of these densities.
    """
    luts = [box.presentation_lut or film.presentation_lut for box in film.boxes]
    shapes = {lut.shape for lut in luts}
    if LIN_OD not in shapes or (takes_lin_od and shapes == {film.presentation_lut.shape}):
        return film
    boxes = tuple(
        replace(box, presentation_lut=linear_table(_viewing(film, box)) if lut.shape == LIN_OD else lut)
        for box, lut in zip(film.boxes, luts, strict=True)
    )
    return replace(film, boxes=boxes, presentation_lut=PresentationLut())


def _viewing(film: Film, box: ImageBox) -> Viewing:
    """Return the densities between which an image is, and the light in which it is looked at."""
    viewing = viewing_of(film.medium_type)
    asked = (
        film.min_density if box.min_density is None else box.min_density,
        film.max_density if box.max_density is None else box.max_density,
    )
    known = viewing.density_min, viewing.density_max
    least, greatest = (own if given is None else given / 100 for own, given in zip(known, asked, strict=True))
    lightest, darkest = (least, greatest) if least < greatest else known
    return replace(
        viewing,
        density_min=lightest,
        density_max=darkest,
        illumination=film.illumination or viewing.illumination,
        ambient=viewing.ambient if film.reflected_ambient_light is None else film.reflected_ambient_light,
    )


def _ascii(text: str) -> str:
    """Return a text without accents, and with question marks for letters that ASCII does not have."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(each if each.isascii() else "?" for each in decomposed if not unicodedata.combining(each))


def _image(image: GatheredImage, content: bytes) -> Dataset:
    """Return the item with the pixels of an image box (PS3.3 C.13.5)."""
    item = Dataset()
    item.SamplesPerPixel = image.samples_per_pixel
    item.PhotometricInterpretation = "RGB" if image.samples_per_pixel == 3 else "MONOCHROME2"
    if image.samples_per_pixel == 3:
        item.PlanarConfiguration = 1
        pixels = memoryview(content)[: image.rows * image.columns * 3]
        content = b"".join(bytes(pixels[sample::3]) for sample in range(3))
        content += b"\0" * (len(content) % 2)
    item.Rows, item.Columns = image.rows, image.columns
    vertical, horizontal = image.pixel_aspect_ratio
    if vertical != horizontal:
        item.PixelAspectRatio = [str(round(vertical)), str(round(horizontal))]
    item.BitsAllocated = 8 if image.bits == 8 else 16
    item.BitsStored, item.HighBit, item.PixelRepresentation = image.bits, image.bits - 1, 0
    item.add_new("PixelData", "OB" if image.bits == 8 else "OW", content)
    return item
