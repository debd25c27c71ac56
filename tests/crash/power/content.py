"""What a file holds, as pages: those of zeros take no memory, since a node prepares some 100 MB of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PAGE_BYTES = 4096
SECTOR_BYTES = 512
_ZEROS = bytes(PAGE_BYTES)
_CHUNK_BYTES = 256 * PAGE_BYTES


class Content:
    """The bytes of a file."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._pages: dict[int, bytes] = {}

    @classmethod
    def of(cls, path: Path) -> Content:
        """Read a file."""
        content = cls()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if chunk.count(0) < len(chunk):
                    content.write(content.size_bytes, chunk)
                content.resize(max(content.size_bytes, file.tell()))
        return content

    def copy(self) -> Content:
        """Return another one of the same bytes."""
        other = Content()
        other.size_bytes, other._pages = self.size_bytes, dict(self._pages)
        return other

    def write(self, offset: int, data: bytes) -> None:
        """Write some bytes, beyond the end too."""
        for start, piece in pieces(offset, data):
            number, within = divmod(start, PAGE_BYTES)
            page = self._pages.get(number, _ZEROS)
            self._pages[number] = page[:within] + piece + page[within + len(piece) :]
        self.size_bytes = max(self.size_bytes, offset + len(data))

    def resize(self, size_bytes: int) -> None:
        """Cut the file off, or let it grow by zeros."""
        if size_bytes < self.size_bytes:
            number, within = divmod(size_bytes, PAGE_BYTES)
            for page in [page for page in self._pages if page > number]:
                del self._pages[page]
            if number in self._pages:
                self._pages[number] = self._pages[number][:within].ljust(PAGE_BYTES, b"\0")
        self.size_bytes = size_bytes

    def store(self, path: Path) -> None:
        """Write a file."""
        with path.open("xb") as file:
            for number, page in sorted(self._pages.items()):
                if page != _ZEROS:
                    file.seek(number * PAGE_BYTES)
                    file.write(page[: max(0, self.size_bytes - number * PAGE_BYTES)])
            file.truncate(self.size_bytes)

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same bytes."""
        if not isinstance(other, Content) or self.size_bytes != other.size_bytes:
            return False
        numbers = self._pages.keys() | other._pages.keys()
        return all(self._pages.get(number, _ZEROS) == other._pages.get(number, _ZEROS) for number in numbers)


def pieces(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what of some bytes goes into each page, with its offset."""
    start = 0
    while start < len(data):
        count = min(PAGE_BYTES - (offset + start) % PAGE_BYTES, len(data) - start)
        yield offset + start, data[start : start + count]
        start += count
