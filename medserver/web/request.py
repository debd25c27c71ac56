"""What a handler gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from medserver.config import Config
from medserver.errors import BadRequest, UnsupportedMediaType
from medserver.identity.principal import Principal
from medserver.web.media_types import MediaType, media_type_of
from medserver.web.negotiation import Offer, Selected, select

Body = bytes | Iterator[bytes]


@dataclass(frozen=True)
class Request:
    """A request of a user agent that may have what it asks for.

    Parameters
    ----------
    method : str
        GET, POST and so on.
    path : mapping of str to str
        What stands in the path for the names in the template of the route.
    parameters : sequence of (name, value)
        Those of the query, decoded, in their order.
    headers : mapping of str to str
        By their names in small letters.
    principal : Principal
        Who asks.
    base : str
        The URL of the service as the user agent knows it, without a slash behind it.
    config : Config
        The configuration at this moment.
    body : callable
        Returns the pieces of the payload, as they arrive; to be called once.
    """

    method: str
    path: Mapping[str, str]
    parameters: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    principal: Principal
    base: str
    config: Config
    body: Callable[[], Iterator[bytes]] = field(repr=False)

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query that stands there once.

        Raises
        ------
        BadRequest
            It stands there several times.
        """
        values = [value for each, value in self.parameters if each.lower() == name]
        if len(values) > 1:
            raise BadRequest(f"{name} is given {len(values)} times")
        return values[0] if values else None

    def select(self, offers: Sequence[Offer]) -> Selected:
        """Choose the form of what is sent, see `negotiation.select`."""
        return select(offers, self.headers.get("accept"), self.parameter("accept"))

    @cached_property
    def content_type(self) -> MediaType:
        """The media type of the payload.

        Raises
        ------
        UnsupportedMediaType
            It is missing or none.
        """
        found = media_type_of(self.headers.get("content-type", ""))
        if found is None:
            raise UnsupportedMediaType("Content-Type is missing, or is none")
        return found


def warning(base: str, *texts: str) -> dict[str, str]:
    """Return the header field that tells of what was not done quite as asked (RFC 7234 5.5); none without a text."""
    return {"warning": ", ".join(f'299 {base} "{text}"' for text in texts)} if texts else {}


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    status : int
        The HTTP status.
    body : bytes or iterator of bytes
        The payload; an iterator is closed when the user agent goes away.
    content_type : str
        Its media type; empty without a payload.
    headers : mapping of str to str
        Further header fields.
    """

    status: int = 200
    body: Body = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
