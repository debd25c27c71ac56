"""In which form a resource is sent: one pure function of what is accepted and what there is (PS3.18 8.7.5 - 8.7.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import MixedMediaTypes, NotAcceptable
from medserver.web.media_types import MediaType, media_ranges_of

AS_STORED = "*"
"""In the place of a transfer syntax: whichever the object is stored in."""

RELATED = "multipart/related"

_RENDERED_TYPES = ("image", "video", "text")


@dataclass(frozen=True, slots=True)
class Offer:
    """A form in which a resource can be sent.

    Parameters
    ----------
    media_type : str
        Of the resource, or of each part.
    is_multipart : bool
        Whether it is sent as multipart/related with this type.
    transfer_syntax_uid : str
        What is sent when no transfer syntax is asked for; empty for types that have none.
    """

    media_type: str
    is_multipart: bool = False
    transfer_syntax_uid: str = ""

    @property
    def essence(self) -> str:
        """The two names of the media type of the whole."""
        return RELATED if self.is_multipart else self.media_type


@dataclass(frozen=True, slots=True)
class Selected:
    """What is sent.

    Parameters
    ----------
    offer : Offer
        In this form.
    transfer_syntaxes : tuple of str
        In the first of these that the object can be brought into; `AS_STORED` may be among them. Empty for types that
        have none.
    """

    offer: Offer
    transfer_syntaxes: tuple[str, ...] = ()


METADATA = (Offer("application/dicom+json"), Offer("application/dicom+xml", is_multipart=True))
"""What matches and metadata are sent as; the first is the default (PS3.18 10.6.4, 10.4.4)."""

INSTANCES = (
    Offer("application/dicom", is_multipart=True, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN),
)  # fmt: skip
"""What several instances are sent as (PS3.18 8.7.3.1)."""

ONE_INSTANCE = (*INSTANCES, Offer("application/dicom", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN))
"""What one instance is sent as: also alone, which is no multipart payload (PS3.18 8.6.1.1)."""


def select(offers: Sequence[Offer], accept: str | None, accept_parameter: str | None = None) -> Selected:
    """Choose the form of a resource.

    Parameters
    ----------
    offers : sequence of Offer
        What there is; the first is the default.
    accept : str or None
        The header field; None if there is none.
    accept_parameter : str or None
        The query parameter, which comes first.

    Raises
    ------
    NotAcceptable
        There is no header field, or it and the parameter name nothing that there is.
    MixedMediaTypes
        DICOM and rendered media types are asked for at the same time.
    """
    if accept is None:
        raise NotAcceptable("a request for something has to have the header field Accept (PS3.18 8.7.5)")
    asked = [media_ranges_of(text) for text in (accept_parameter, accept) if text is not None]
    if len({kind for ranges in asked for each in ranges if (kind := _kind(each)) is not None}) > 1:
        raise MixedMediaTypes("DICOM media types and rendered ones are asked for at the same time (PS3.18 8.7.5)")
    for ranges in asked:
        selected = _best(offers, ranges)
        if selected is not None:
            return selected
    raise NotAcceptable(f"there is only: {', '.join(map(_described, offers))}")


def _kind(media_range: MediaType) -> str | None:
    """Tell whether a range names something of DICOM or something rendered; None for one that does not say."""
    if media_range.type == "*" or media_range.quality == 0:
        return None
    if media_range.essence == RELATED or media_range.subtype.startswith("dicom"):
        return "DICOM"
    return "rendered" if media_range.type in _RENDERED_TYPES else None


def _best(offers: Sequence[Offer], ranges: Sequence[MediaType]) -> Selected | None:
    """Return the offer of the highest weight; of several, what is named most exactly, then what is named first."""
    found: list[tuple[float, int, int, int, Selected]] = []
    for index, offer in enumerate(offers):
        matching = [(specificity, position, each) for position, each in enumerate(ranges)
                    if (specificity := _specificity(each, offer, is_default=index == 0)) is not None]  # fmt: skip
        if not matching:
            continue
        specificity = max(each for each, _, _ in matching)
        wanted = sorted(
            ((-each.quality, position, each) for exactness, position, each in matching if exactness == specificity),
            key=lambda one: one[:2],
        )
        quality, position, _ = wanted[0]
        syntaxes = tuple(dict.fromkeys(_transfer_syntax(each, offer) for _, _, each in wanted if each.quality))
        if quality:
            found.append((quality, -specificity, position, index, Selected(offer, tuple(filter(None, syntaxes)))))
    return min(found, key=lambda one: one[:4])[-1] if found else None


def _specificity(media_range: MediaType, offer: Offer, *, is_default: bool) -> int | None:
    """Tell how exactly a range names an offer; None if it does not. ``*/*`` is the default alone (PS3.18 8.7.7)."""
    kind, _, subtype = offer.essence.partition("/")
    if media_range.essence == "*/*":
        return 0 if is_default else None
    if media_range.type != kind:
        return None
    if media_range.subtype == "*":
        return 1
    if media_range.subtype != subtype:
        return None
    if not offer.is_multipart:
        return 3
    named = media_range.parameters.get("type", "*/*").lower()
    if named == "*/*":  # of which parts it does not say: the default
        return 2 if is_default else None
    return 3 if named == offer.media_type else None


def _transfer_syntax(media_range: MediaType, offer: Offer) -> str:
    """Return the transfer syntax that a range asks for; types that have none are sent whatever it says."""
    if not offer.transfer_syntax_uid:
        return ""
    return media_range.parameters.get("transfer-syntax", offer.transfer_syntax_uid)


def _described(offer: Offer) -> str:
    return f'{RELATED}; type="{offer.media_type}"' if offer.is_multipart else offer.media_type
