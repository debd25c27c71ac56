"""Four Print SCUs at once: each prints a 14 x 17 inch film of 12 CT images on a folder of PDF files of the node."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pypdfium2
from pydicom import dcmread
from pydicom.dataset import Dataset

from medserver.scu.printing import PROPOSALS, FilmOrder, Imager
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, associated
from scripts.benchmarks.candidates import Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from tests.peers.proc import children_of
from tests.peers.process import wait_until

SCUS, IMAGES, LAYOUT = 4, 12, "STANDARD\\3,4"
BURSTS, SAMPLED_EVERY_S, PATIENCE_S = 5, 0.05, 120.0
PRINTER, CALLER = "FILM1", "WORKSTATION"


class FourPrintSCUs(Stage):
    """A node with a printer, which has printed something."""

    def prepare(self, cells: list[Cell]) -> None:
        """Start the node, make the images, and let it print once: its worker processes have begun then."""
        self._pdfs = self.folder / "films"
        settings = {
            "printer film.output": "pdf", "printer film.folder": self._pdfs, "printer film.ae_title": PRINTER,
            f"ae {CALLER}.address": "127.0.0.1", f"ae {CALLER}.allow": "echo,print",
        }  # fmt: skip
        [name] = {name for cell in cells for name in cell.candidates}
        self._running = self.start(name, self.stack, settings=settings)
        paths = self.material.study("CT").paths
        self._image_boxes = {number: _image_box(number, paths[number % len(paths)]) for number in range(1, IMAGES + 1)}
        self._labels = iter(range(1 << 30))
        self._burst()
        self._running.settle()

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the time of a film, that from the last success to the last PDF [s], or the memory of the node [MB]."""
        with _memory_mb(self._running) as most_mb:
            bursts = [self._burst() for _ in range(BURSTS)]
        if cell.operation == "memory":
            return most_mb()
        if cell.operation == "pace":
            return statistics.median(seconds for seconds, _ in bursts) / SCUS
        return statistics.median(max(delays) for _, delays in bursts)

    def _burst(self) -> tuple[float, list[float]]:
        """Print with all SCUs at once; return how long it took, and the time from each success to its PDF [s]."""
        labels = [f"film {next(self._labels)}" for _ in range(SCUS)]
        ready = threading.Barrier(SCUS + 1)
        with ThreadPoolExecutor(SCUS) as threads:
            answered = [threads.submit(self._print, label, ready) for label in labels]
            ready.wait()
            begun_at = time.time()
            succeeded_at = {label: each.result() for label, each in zip(labels, answered, strict=True)}
        finished_at: dict[str, float] = {}

        def are_finished() -> bool:
            for path in self._pdfs.glob("*.pdf"):
                moment = path.stat().st_ctime
                with pypdfium2.PdfDocument(path) as document:
                    finished_at[document.get_metadata_value("Title")] = moment
                path.unlink()
            return len(finished_at) == SCUS

        wait_until(are_finished, deadline_s=PATIENCE_S, what="all PDF files")
        delays = [finished_at[label] - succeeded_at[label] for label in labels]
        return max(finished_at.values()) - begun_at, delays

    def _print(self, label: str, ready: threading.Barrier) -> float:
        """Print a film, and return when its N-ACTION was answered with success."""
        _, port, host = self._running.address
        session, film_box = Dataset(), Dataset()
        session.FilmSessionLabel, session.MediumType = label, "BLUE FILM"
        film_box.ImageDisplayFormat, film_box.FilmSizeID = LAYOUT, "14INX17IN"
        order = FilmOrder(session, film_box, None, self._image_boxes, {})
        ready.wait()
        with associated(Address(PRINTER, host, port), PROPOSALS, CALLER, WireLimits()) as association:
            Imager(association).print_film(order)
            return time.time()


def _image_box(position: int, path: Path) -> Dataset:
    """Return the attributes of an image box with a CT image as P-values of 12 bits."""
    stored = dcmread(path)
    pixels = stored.pixel_array.astype(np.int32)
    pixels = np.interp(pixels, (pixels.min(), pixels.max()), (0, 4095)).astype("<u2")
    image, box = Dataset(), Dataset()
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = pixels.tobytes()
    box.ImageBoxPosition, box.BasicGrayscaleImageSequence = position, [image]
    return box


@contextmanager
def _memory_mb(candidate: Candidate) -> Iterator[Callable[[], float]]:
    """Look again and again at the memory of all processes, what several share counted once; give the most of it."""
    is_over, sums = threading.Event(), [0.0]

    def look() -> None:
        while not is_over.wait(SAMPLED_EVERY_S):
            sums.append(sum(map(_proportional_mb, _with_descendants(candidate.server.process.pid))))

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield lambda: max(sums)
    finally:
        is_over.set()
        watching.join()


def _with_descendants(process_id: int) -> list[int]:
    """Return a process and all that it and they have started."""
    found = [process_id]
    for each in found:
        found += children_of(each)
    return found


def _proportional_mb(process_id: int) -> float:
    """Return the memory of a process, its share of what it shares (Pss), see proc(5); 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
