"""A film: images of a CT series rendered, composed to a 14 x 17 inch page of 300 dpi, and written as a PDF."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfileobj
from typing import IO

from medserver import codecs
from medserver.imaging import Rendering, render_picture
from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.images import PNG, GatheredImage
from medserver.scu.files import find_instances
from medserver.scu.storage import Outgoing
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage

IMAGES, LAYOUT = 12, "STANDARD\\3,4"
_PRESS = {
    "name": "film", "default_film_size_id": "14INX17IN", "resolution_dpi": 300, "is_colour": True, "viewing": None,
    "curve": None, "printed_at": "",
}  # fmt: skip


class Films(Stage):
    """A worker process, which has begun, and files."""

    def prepare(self, cells: list[Cell]) -> None:
        """Have a folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return how long a film takes [s], or the most memory that the worker process ever had [MB]."""
        paths = self.material.study("CT").paths[:IMAGES]
        with multiprocessing.get_context("spawn").Pool(1) as alone:  # whose children are these workers only
            seconds, memory_mb = alone.apply(printed, (paths, self.folder))
        return seconds if cell.operation == "time" else memory_mb


def printed(paths: list[Path], folder: Path) -> tuple[float, float]:
    """Print a film twice; return how long the second took [s], and the memory of the worker process [MB]."""
    with codecs.Workers(1) as workers:
        _print(paths, folder, workers)
        began_at = time.perf_counter()
        _print(paths, folder, workers)
        seconds = time.perf_counter() - began_at
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _print(paths: list[Path], folder: Path, workers: codecs.Workers) -> None:
    """Render the images one after the other, and write the page."""
    with ExitStack() as stack:
        images = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        output = stack.enter_context((folder / "film.pdf").open("wb"))
        found = [
            _rendered(number, source.outgoing, images, folder, workers)
            for number, source in enumerate(find_instances(paths, stack), 1)
        ]
        images.flush()
        boxes = tuple(ImageBox(number, ReceivedImage(str(number), 1, 1)) for number in range(1, len(found) + 1))
        film = Film(LAYOUT, boxes=boxes, heading=("Doe Jane  12345", "2026-11-30  CT"))
        files = (images.fileno(), output.fileno())
        workers.run("medserver.printing.job:write_page", film.as_text(), found, _PRESS, "film", files=files)


def _rendered(
    number: int, source: Outgoing, images: IO[bytes], folder: Path, workers: codecs.Workers
) -> dict[str, object]:
    with render_picture(source, 0, Rendering(bits=16), workers, folder) as picture:
        begin = images.tell()
        with open(picture.descriptor, "rb", closefd=False) as written:
            written.seek(0)
            copyfileobj(written, images, 1 << 20)
        size = picture.rows, picture.columns, picture.samples_per_pixel, picture.bits
    return GatheredImage(number, PNG, begin, images.tell() - begin, *size).as_json()
