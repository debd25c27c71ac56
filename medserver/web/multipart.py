"""multipart/related payloads (RFC 2046 5.1, RFC 2387, PS3.18 8.6.1.2): written as a stream, and read as one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from medserver.errors import BadRequest

HEADER_BYTES_MAX = 8 * 1024
PARTS_MAX = 100_000
BOUNDARY_LENGTH_MAX = 70

_END = b"\r\n"


@dataclass(frozen=True)
class Part:
    """One part that is sent.

    Parameters
    ----------
    content_type : str
        Its media type, with parameters.
    body : iterable of bytes
        Its pieces.
    location : str
        Its Content-Location; empty for none.
    """

    content_type: str
    body: Iterable[bytes]
    location: str = ""


def new_boundary() -> str:
    """Return 128 random bits, which stand in no part."""
    return secrets.token_hex(16)


def content_type(media_type: str, boundary: str) -> str:
    """Return the Content-Type of a payload whose parts are of one type."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def written(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """Yield the bytes of a payload."""
    delimiter = b"--" + boundary.encode()
    for number, part in enumerate(parts):
        head = [delimiter if number == 0 else _END + delimiter, b"Content-Type: " + part.content_type.encode()]
        if part.location:
            head.append(b"Content-Location: " + part.location.encode())
        yield _END.join(head) + _END + _END
        yield from part.body
    yield _END + delimiter + b"--" + _END


class Reader:
    """Takes a payload apart while it arrives: each part with its header fields, and its bytes as they come.

    Parameters
    ----------
    pieces : iterable of bytes
        The payload.
    boundary : str
        What stands between the parts.

    Raises
    ------
    BadRequest
        The boundary is none.
    """

    def __init__(self, pieces: Iterable[bytes], boundary: str | None) -> None:
        if not boundary or len(boundary) > BOUNDARY_LENGTH_MAX or not boundary.isascii():
            raise BadRequest("Content-Type has no boundary that can be used")
        self._pieces = iter(pieces)
        self._delimiter = _END + b"--" + boundary.encode()
        self._buffer = _END  # so that the first delimiter is found as the others are
        self._is_at_end = False

    def parts(self) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
        """Yield the header fields of each part, by names in small letters, and its bytes.

        What is not taken of the bytes of a part is passed over.

        Raises
        ------
        BadRequest
            The payload is no multipart payload, or ends within a part.
        """
        for _ in self._until_delimiter():
            pass  # the preamble
        for number in range(PARTS_MAX + 1):
            if self._is_last():
                return
            if number == PARTS_MAX:
                raise BadRequest(f"more than {PARTS_MAX} parts")
            headers = self._headers()
            body = self._until_delimiter()
            yield headers, body
            for _ in body:
                pass

    def _more(self) -> bool:
        """Read the next piece; tell whether there was one."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._buffer += piece
        return True

    def _until_delimiter(self) -> Iterator[bytes]:
        """Yield what stands in front of the next delimiter, and leave the buffer behind that."""
        while True:
            position = self._buffer.find(self._delimiter)
            if position >= 0:
                if position:
                    yield self._buffer[:position]
                self._buffer = self._buffer[position + len(self._delimiter) :]
                return
            kept = len(self._delimiter) - 1
            if len(self._buffer) > kept:
                ready, self._buffer = self._buffer[:-kept], self._buffer[-kept:]
                yield ready
            if not self._more():
                raise BadRequest("the payload ends within a part")

    def _is_last(self) -> bool:
        """Tell whether a delimiter was the last one; else leave the buffer behind its line."""
        while len(self._buffer) < 2 or (b"\r\n" not in self._buffer and not self._buffer.startswith(b"--")):
            if len(self._buffer) > HEADER_BYTES_MAX or not self._more():
                raise BadRequest("the payload ends behind a delimiter")
        if self._buffer.startswith(b"--"):
            return True
        padding, _, self._buffer = self._buffer.partition(_END)
        if padding.strip(b" \t"):
            raise BadRequest("something stands behind a delimiter in its line")
        return False

    def _headers(self) -> dict[str, str]:
        self._buffer = _END + self._buffer  # a part may have no header fields
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > HEADER_BYTES_MAX or not self._more():
                raise BadRequest("the header fields of a part have no end")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if len(head) > HEADER_BYTES_MAX:
            raise BadRequest("the header fields of a part are too long")
        fields = {}
        for line in filter(None, head.decode("latin-1").split("\r\n")):
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest("a header field of a part has no colon")
            fields.setdefault(name.strip().lower(), value.strip())
        return fields
