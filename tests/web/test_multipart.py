"""multipart/related: what is written is read again, in whichever pieces it comes; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.errors import BadRequest
from medserver.web.multipart import HEADER_BYTES_MAX, Part, Reader, written

BOUNDARY = "b"
BODIES = st.lists(st.binary(max_size=40) | st.sampled_from([b"--b", b"\r\n--", b"\r\n--a", b"\r\n"]), max_size=4)


def read(pieces, boundary: str | None = BOUNDARY) -> list[tuple[dict[str, str], bytes]]:
    return [(headers, b"".join(body)) for headers, body in Reader(pieces, boundary).parts()]


def cut(payload: bytes, size: int) -> list[bytes]:
    return [payload[start : start + size] for start in range(0, len(payload), size)]


@given(bodies=BODIES, size=st.integers(1, 60))
def test_what_is_written_is_read(bodies: list[bytes], size: int) -> None:
    if any(b"\r\n--b" in b"\r\n" + body for body in bodies):  # which random boundaries exclude
        return
    parts = [Part("application/dicom", [body], f"/{number}") for number, body in enumerate(bodies)]
    payload = b"".join(written(parts, BOUNDARY))
    if not bodies:
        payload = b"--b" + payload.removeprefix(b"\r\n--b")
    expected = [({"content-type": "application/dicom", "content-location": f"/{n}"}, b) for n, b in enumerate(bodies)]
    assert read(cut(payload, size)) == expected


ONE = b"--b\r\nContent-Type: application/dicom\r\n\r\nxyz\r\n--b--"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    "payload",
    [ONE, ONE + b"\r\n", ONE + b"\r\nepilogue", b"preamble\r\n" + ONE, b"\r\n" + ONE,
     ONE.replace(b"--b\r", b"--b \t\r", 1)],
    ids=["plain", "line end", "epilogue", "preamble", "empty line in front", "padding"],
)
def test_other_ways_to_write_the_same(payload: bytes, size: int) -> None:
    assert read(cut(payload, size)) == [({"content-type": "application/dicom"}, b"xyz")]


def test_a_part_without_header_fields() -> None:
    assert read([b"--b\r\n\r\nxyz\r\n--b--"]) == [({}, b"xyz")]


def test_what_is_not_taken_is_passed_over() -> None:
    payload = b"".join(written([Part("a/b", [bytes(100_000)]), Part("c/d", [b"x"])], BOUNDARY))
    assert [headers["content-type"] for headers, _ in Reader(cut(payload, 1000), BOUNDARY).parts()] == ["a/b", "c/d"]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"nothing", b"--b", b"--b\r\n", b"--b\r\nContent-Type: a/b\r\n", b"--b\r\nContent-Type: a/b\r\n\r\nxyz",
        b"--b\r\nContent-Type: a/b\r\n\r\nxyz\r\n--b", b"--b\r\nno colon\r\n\r\nx\r\n--b--", b"--c\r\n\r\nx\r\n--c--",
        b"--b\r\nA: " + b"x" * HEADER_BYTES_MAX + b"\r\n\r\nx\r\n--b--", b"--bx\r\n\r\nxyz\r\n--b--",
        b"--b" + b" " * 9000,
    ],
    ids=range(12),
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_payload(payload: bytes, size: int) -> None:
    with pytest.raises(BadRequest):
        read(cut(payload, size))


@pytest.mark.parametrize("boundary", [None, "", "x" * 71, "ä"])
def test_what_is_no_boundary(boundary: str | None) -> None:
    with pytest.raises(BadRequest, match="boundary"):
        read([ONE], boundary)


def test_a_payload_is_not_kept_in_memory() -> None:
    """Ten parts of 100 MB: what is buffered is a piece, and what may be the beginning of a delimiter."""
    import tracemalloc

    piece = bytes(1 << 20)

    def pieces():
        yield b"--b"
        for _ in range(10):
            yield b"\r\n\r\n"
            yield from (piece for _ in range(100))
            yield b"\r\n--b"
        yield b"--"

    tracemalloc.start()
    sizes = [sum(map(len, body)) for _, body in Reader(pieces(), BOUNDARY).parts()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [100 << 20] * 10 and peak < 8 << 20
