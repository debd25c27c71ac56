"""A Print SCU that sends any command with any bytes, to be answered with every status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medserver.dicom import print_classes as classes
from medserver.dicom import status, uids
from medserver.scu.exchange import (
    Response,
    as_response,
    next_message,
    next_message_id,
    response_to,
    send_request,
)
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import RESPONSE, CommandField
from medserver.wire.requestor import Proposal
from pydicom.dataset import Dataset

from tests.peers import Address
from tests.printing.print_scu import gray_image
from tests.services.client import Client

CREATE, SET, DELETE = CommandField.N_CREATE, CommandField.N_SET, CommandField.N_DELETE
ACTION, GET = CommandField.N_ACTION, CommandField.N_GET

ALONE = (
    classes.PRINT_JOB, classes.ANNOTATION_BOX, classes.PRESENTATION_LUT, classes.PRINTER_CONFIGURATION
)  # fmt: skip
"""SOP classes with a context of their own here: the others are in those of the meta SOP classes."""

EVENT_MAX_BYTES = 10_000

SESSION, BOX, LUT = "1.2.1", "1.2.2", "1.2.3"


class RawPrintSCU:
    """An association with a printer.

    Parameters
    ----------
    association : Association
        The association.
    """

    def __init__(self, association: Association) -> None:
        self.association = association
        self.is_colour = False

    def context_of(self, sop_class_uid: str) -> AcceptedContext:
        """Return the context in which an instance of a SOP class is asked for."""
        meta = classes.COLOR_META if self.is_colour else classes.GRAYSCALE_META
        wanted = sop_class_uid if sop_class_uid in ALONE else meta
        return next(each for each in self.association.contexts.values() if each.abstract_syntax == wanted)

    def send(
        self,
        operation: CommandField,
        sop_class_uid: str,
        uid: str | None,
        content: Dataset | bytes | None = None,
        **command_set: object,
    ) -> Response:
        """Send a request, and return the response; events that come before it are answered."""
        context = self.context_of(sop_class_uid)
        message_id = next_message_id()
        which = "Affected" if operation is CREATE else "Requested"
        asked: dict = {
            f"{which}SOPClassUID": sop_class_uid, "CommandField": operation, "MessageID": message_id,
            f"{which}SOPInstanceUID": uid,
        }  # fmt: skip
        send_request(self.association, context, asked | command_set, content)
        while (message := next_message(self.association)).command_field == CommandField.N_EVENT_REPORT:
            if message.has_data_set:
                message.read_data_set(EVENT_MAX_BYTES)
            self.association.send_message(message.context_id, response_to(message, status.SUCCESS))
        assert (message.command_field, message.message_id) == (operation | RESPONSE, message_id)
        return as_response(message, context)

    def create_session(self, **attributes: object) -> Response:
        """Create the film session."""
        return self.send(CREATE, classes.FILM_SESSION, SESSION, dataset(**attributes) or None)

    def create_box(
        self, uid: str = BOX, display_format: str | None = "STANDARD\\1,1", **attributes: object
    ) -> Response:
        """Create a film box, in the film session."""
        content = in_session(**attributes)
        if display_format is not None:
            content.ImageDisplayFormat = display_format
        return self.send(CREATE, classes.FILM_BOX, uid, content)

    def create_lut(self, uid: str = LUT, **attributes: object) -> Response:
        """Create a Presentation LUT."""
        return self.send(CREATE, classes.PRESENTATION_LUT, uid, dataset(**attributes))

    def set_image(self, uid: str, image: Dataset | None = None, **attributes: object) -> Response:
        """Set an image box."""
        content = dataset(ImageBoxPosition=1, **attributes)
        sequence = [image] if image is not None else []
        if self.is_colour:
            content.BasicColorImageSequence = sequence
        else:
            content.BasicGrayscaleImageSequence = sequence
        return self.send(SET, self.image_box_class, uid, content)

    @property
    def image_box_class(self) -> str:
        """The SOP class of its image boxes."""
        return classes.COLOR_IMAGE_BOX if self.is_colour else classes.GRAYSCALE_IMAGE_BOX

    def print(self, sop_class_uid: str = classes.FILM_BOX, uid: str = BOX, action: int = 1) -> Response:
        """Print a film box, or the film session."""
        return self.send(ACTION, sop_class_uid, uid, ActionTypeID=action)

    def film(self, *, image: Dataset | None = None, **attributes: object) -> str:
        """Make a film session and a film box, with an image if one is given; return the UID of its image box."""
        self.create_session()
        made = self.create_box(**attributes)
        assert made.identifier is not None, made
        uid = made.identifier.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID
        if image is not None:
            assert self.set_image(uid, image).code == 0
        return uid

    def annotation(self) -> str:
        """Make a film, and return the UID of its first annotation box."""
        self.create_session()
        made = self.create_box()
        assert made.identifier is not None
        return made.identifier.ReferencedBasicAnnotationBoxSequence[0].ReferencedSOPInstanceUID


@contextmanager
def printing(
    address: Address,
    *,
    ae_title: str = "WS1",
    without: Sequence[str] = (),
    transfer_syntax_uid: str = uids.EXPLICIT_VR_LITTLE_ENDIAN,
) -> Iterator[RawPrintSCU]:
    """Give an association with all SOP classes but some."""
    proposed = [uid for uid in (*classes.META_SOP_CLASSES, *ALONE) if uid not in without]
    proposals = [Proposal(uid, (transfer_syntax_uid,)) for uid in proposed]
    with Client(address, ae_title).associated(proposals) as association:
        yield RawPrintSCU(association)


def dataset(**attributes: object) -> Dataset:
    """Return a data set."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def in_session(uid: str = SESSION, **attributes: object) -> Dataset:
    """Return a data set that refers to the film session."""
    reference = dataset(ReferencedSOPClassUID=classes.FILM_SESSION, ReferencedSOPInstanceUID=uid)
    return dataset(ReferencedFilmSessionSequence=[reference], **attributes)


def lut_reference(uid: str = LUT) -> list[Dataset]:
    """Return the sequence that refers to a Presentation LUT."""
    return [dataset(ReferencedSOPClassUID=classes.PRESENTATION_LUT, ReferencedSOPInstanceUID=uid)]


def lut_table(entries: int = 256, bits: int = 12, top: int = 4095) -> list[Dataset]:
    """Return a Presentation LUT Sequence with a rising table."""
    item = dataset(LUTDescriptor=[entries, 0, bits])
    item.add_new("LUTData", "US", [index * top // (entries - 1) for index in range(entries)])
    return [item]


def image_without_pixels() -> Dataset:
    """Return an image without Pixel Data."""
    image = gray_image()
    del image.PixelData
    return image
