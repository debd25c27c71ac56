"""The instances that a Print SCU makes on an association, and what each of them is set to.

References
----------
PS3.3 C.13.1, PS3.3 C.13.3, PS3.3 C.13.5, PS3.3 C.13.7
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from medserver.dicom.json_model import JSON
from medserver.printing.film import PresentationLut, ReceivedImage
from medserver.workitems.content import data_set


@dataclass(frozen=True, slots=True)
class ReferencedLut:
    """A Presentation LUT that something refers to, as it was then."""

    uid: str
    lut: PresentationLut


@dataclass
class ImageBoxInstance:
    """An image box: what it is set to, and where its pixels are in the file of the session."""

    uid: str
    position: int
    attributes: dict = field(default_factory=dict)
    image: ReceivedImage | None = None
    offset: int = 0
    size_bytes: int = 0
    lut: ReferencedLut | None = None


@dataclass
class AnnotationBoxInstance:
    """An annotation box: what it is set to."""

    uid: str
    position: int
    attributes: dict = field(default_factory=dict)


@dataclass
class FilmBoxInstance:
    """A film box: what it is set to, its image and annotation boxes, and an ICC profile of all its images."""

    uid: str
    is_colour: bool
    attributes: dict
    image_boxes: list[ImageBoxInstance]
    annotation_boxes: list[AnnotationBoxInstance]
    lut: ReferencedLut | None = None
    icc_profile: bytes = b""


@dataclass
class FilmSessionInstance:
    """A film session: what it is set to, and its film boxes."""

    uid: str
    attributes: dict
    film_boxes: list[FilmBoxInstance] = field(default_factory=list)
    lut: ReferencedLut | None = None

    def uids(self) -> Iterator[str]:
        """Yield the UIDs of everything in it."""
        yield self.uid
        for box in self.film_boxes:
            yield box.uid
            for each in (*box.image_boxes, *box.annotation_boxes):
                yield each.uid


@dataclass(frozen=True, slots=True)
class ReferencedClasses:
    """The SOP Class UIDs that references name."""

    film_session: str
    film_box: str
    image_box: str
    annotation_box: str
    presentation_lut: str


def film_session_attributes(session: FilmSessionInstance, classes: ReferencedClasses) -> JSON:
    """Return what a film session is set to, with the reference to its Presentation LUT."""
    return {**session.attributes, **_lut_reference(session.lut, classes)}


def film_box_attributes(session: FilmSessionInstance, box: FilmBoxInstance, classes: ReferencedClasses) -> JSON:
    """Return what a film box is set to, with references to its session and its boxes (PS3.4 H.4.2.2.1)."""
    told = dict(box.attributes)
    told |= data_set(
        ReferencedFilmSessionSequence=[_reference(classes.film_session, session.uid)],
        ReferencedImageBoxSequence=[_reference(classes.image_box, each.uid) for each in box.image_boxes],
    )
    if box.annotation_boxes:
        boxes = [_reference(classes.annotation_box, each.uid) for each in box.annotation_boxes]
        told |= data_set(ReferencedBasicAnnotationBoxSequence=boxes)
    return {**told, **_lut_reference(box.lut, classes)}


def image_box_attributes(box: ImageBoxInstance, classes: ReferencedClasses) -> JSON:
    """Return what an image box is set to, without its image."""
    return {**box.attributes, **_lut_reference(box.lut, classes)}


def _lut_reference(lut: ReferencedLut | None, classes: ReferencedClasses) -> Mapping[str, dict]:
    if lut is None:
        return {}
    return data_set(ReferencedPresentationLUTSequence=[_reference(classes.presentation_lut, lut.uid)])


def _reference(sop_class_uid: str, sop_instance_uid: str) -> JSON:
    return data_set(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)
