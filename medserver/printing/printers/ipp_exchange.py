"""Requests to a printer or print server by IPP, and its answers (RFC 8010, RFC 8011). Start at `IppPrinter` in `ipp`.

The messages are encoded and decoded by ippx; they travel here, because a page is streamed from its file, and because
every request has to end in time, also where the printer sends its answer byte by byte.
"""

from __future__ import annotations

import http.client
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import IO, Any
from urllib.parse import urlsplit

from medserver.errors import PrinterFailed, PrinterRefused
from medserver.printing.printers.ipp_connection import connected, in_words, limited, printer_uri

REQUEST_TIMEOUT_S = 60.0
RATE_MIN_BYTES_PER_S = 50_000
"""How fast a printer has to take a page: the request may last so much longer."""

RESPONSE_MAX_BYTES = 4 << 20
CHUNK_BYTES = 1 << 16

USER = "medserver"
VERSION = (1, 1)
SUCCESSFUL_MAX = 0x00FF
NOT_FOUND = (0x0406, 0x0407)

_request_ids = itertools.cycle(range(1, 1 << 31))


class IppRefusal(PrinterRefused):
    """A printer answers a request with a failure.

    Parameters
    ----------
    code : int
        The status-code.
    message : str
        What it means.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def exchange(
    url: str,
    operation: int,
    operation_attributes: Sequence[Any] = (),
    job_attributes: Sequence[Any] = (),
    document: IO[bytes] | None = None,
    size_mm: tuple[float, float] | None = None,
) -> list[Mapping[str, Any]]:
    """Send a request and return the groups of the answer with what it is about: the printer, or its jobs.

    Parameters
    ----------
    url : str
        ``ipp://``, ``ipps://``, or ``cups:``.
    operation : int
        The operation-id.
    operation_attributes, job_attributes : sequence of ippx.Attribute
        Behind those that every request has.
    document : file, optional
        A page, at its beginning.
    size_mm : tuple of float, (width, height), optional
        The medium of a job, where it has no name.

    Returns
    -------
    list of mapping of str to object
        An attribute with several values is a list.

    Raises
    ------
    IppRefusal
        The printer answers that it does not do it.
    PrinterRefused
        It cannot be reached: it has got nothing of the request.
    PrinterFailed
        It broke off, or does not answer: nobody knows whether it does it.
    """
    import ippx

    groups = [(ippx.Tag.OPERATION_ATTRS, [
        ippx.Attribute("attributes-charset", ippx.Tag.CHARSET, ["utf-8"]),
        ippx.Attribute("attributes-natural-language", ippx.Tag.NATURAL_LANGUAGE, ["en"]),
        ippx.Attribute("printer-uri", ippx.Tag.URI, [printer_uri(url)]),
        *([each] if (each := _of(operation_attributes, "job-id")) else []),
        ippx.Attribute("requesting-user-name", ippx.Tag.NAME, [USER]),
        *(each for each in operation_attributes if each.name != "job-id"),
    ])]  # fmt: skip
    if job_attributes or size_mm:
        groups.append((ippx.Tag.JOB_ATTRS, list(job_attributes)))
    message = ippx.encode(ippx.IppMessage(VERSION, operation, next(_request_ids), groups))
    if size_mm is not None:  # in the last group: before the end of the attributes
        message = message[:-1] + media_size(*size_mm) + message[-1:]
    content = _posted(url, message, document)
    try:
        answer = ippx.decode(content)
    except ippx.IppError as error:
        raise PrinterFailed(f"{url} answers with what is no IPP: {error}") from None
    found = [(tag, _named(attributes)) for tag, attributes in answer.groups]
    if answer.code > SUCCESSFUL_MAX:
        said = next((values.get("status-message") for _, values in found if values.get("status-message")), "")
        name = str(ippx.IppResponseError(answer.code))
        raise IppRefusal(answer.code, f"{url} answers {name}{f': {said}' if said else ''}")
    return [values for tag, values in found if tag in (ippx.Tag.PRINTER_ATTRS, ippx.Tag.JOB_ATTRS)]


def _named(attributes: Sequence[Any]) -> dict[str, Any]:
    """Return attributes by their names; what is there twice counts once, the first time."""
    return {each.name: each.values[0] if len(each.values) == 1 else each.values for each in reversed(attributes)}


def media_size(width_mm: float, height_mm: float) -> bytes:
    """Return the attribute media-col with a size, encoded (RFC 8010 3.1.6, PWG 5100.7): ippx encodes no collections."""
    size = _member("x-dimension", width_mm) + _member("y-dimension", height_mm)
    return (
        _value(0x34, "media-col", b"")
        + _value(0x4A, "", b"media-size")
        + _value(0x34, "", b"")
        + size
        + _value(0x37, "", b"") * 2
    )


def _member(name: str, length_mm: float) -> bytes:
    return _value(0x4A, "", name.encode()) + _value(0x21, "", round(length_mm * 100).to_bytes(4, "big"))


def _value(tag: int, name: str, content: bytes) -> bytes:
    return bytes([tag]) + len(name).to_bytes(2, "big") + name.encode() + len(content).to_bytes(2, "big") + content


def _of(attributes: Sequence[Any], name: str) -> Any:
    return next((each for each in attributes if each.name == name), None)


def _posted(url: str, message: bytes, document: IO[bytes] | None) -> bytes:
    """Send a request by HTTP and return the answer (RFC 8010 3)."""
    size = 0 if document is None else os.fstat(document.fileno()).st_size
    connection = connected(url)
    try:
        with closing(connection), limited(connection, REQUEST_TIMEOUT_S + size / RATE_MIN_BYTES_PER_S):
            headers = {"Content-Type": "application/ipp", "Content-Length": str(len(message) + size)}
            connection.request("POST", urlsplit(printer_uri(url)).path or "/", _body(message, document), headers)
            response = connection.getresponse()
            content = response.read(RESPONSE_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise PrinterFailed(f"{url}: {in_words(error)}") from error
    if response.status != http.HTTPStatus.OK:
        raise IppRefusal(0, f"{url} answers HTTP {response.status} {response.reason}")
    if len(content) > RESPONSE_MAX_BYTES:
        raise PrinterFailed(f"{url} answers with more than {RESPONSE_MAX_BYTES} bytes")
    return content


def _body(message: bytes, document: IO[bytes] | None) -> Iterator[bytes]:
    yield message
    while document is not None and (chunk := document.read(CHUNK_BYTES)):
        yield chunk

