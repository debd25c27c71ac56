"""Compressed images on their way out: as fast as any other bytes, and sooner there over a slow link."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from math import isqrt
from pathlib import Path

from pydicom.uid import generate_uid

from medserver import codecs
from medserver.cli.recoding import transcode_files
from medserver.dicom.syntax_names import transfer_syntax_named
from medserver.scu.files import find_instances
from scripts.benchmarks import clients
from scripts.benchmarks.candidates import MEDSERVER, RAW, UNCOMPRESSED
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from tests.peers import Address
from tests.peers.files import make_series
from tests.peers.link import Link

LINK_BITS_PER_S = 100e6
IMAGES_MAX = 100
PROCESSES = 2


class StoredCompressed(Stage):
    """A node with a series that is stored as JPEG 2000, and one with a series of the same size that is not."""

    def prepare(self, cells: list[Cell]) -> None:
        """Compress the series, and fill the nodes."""
        paths = compressed(self.material.study("CT").paths, self.folder / "j2k")
        side = isqrt(sum(path.stat().st_size for path in paths) // len(paths) // 2)
        raw_uid = generate_uid()
        raw = make_series(
            self.folder / "raw", len(paths), rows=side, columns=side, study_instance_uid=raw_uid
        )
        self._studies = {MEDSERVER: self.material.study("CT").study_instance_uid, RAW: raw_uid}
        self._count = len(paths)
        self._running: dict[str, Address] = {}
        for name, files in ((MEDSERVER, paths), (RAW, [sample.path for sample in raw])):
            # getscu proposes JPEG 2000 and uncompressed in one context: the entry decides.
            running = self.start(MEDSERVER, self.stack, settings={"ae GETSCU.transfer_syntaxes": "j2k, explicit"})
            clients.store(running.address, [files], j2k=name == MEDSERVER)
            os.sync()
            running.settle()
            self._running[name] = running.address
            clients.get(running.address, self._studies[name], self._count, j2k=name == MEDSERVER)

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images retrieved in a second."""
        is_j2k = candidate == MEDSERVER
        seconds = clients.get(self._running[candidate], self._studies[candidate], j2k=is_j2k)
        return self._count / seconds


class OverLink(Stage):
    """Nodes that send a series to another one, over a link of 100 Mbit/s."""

    def prepare(self, cells: list[Cell]) -> None:
        """Fill the nodes, one for each thing that is sent."""
        self._paths = self.material.study("CT").paths[:IMAGES_MAX]
        self._sources: dict[str, Address] = {}
        for subject in (UNCOMPRESSED, *dict.fromkeys(cell.subject for cell in cells)):
            archive = self.start(MEDSERVER, self.stack, settings=_ARCHIVE)
            link = self.stack.enter_context(Link(archive.address, LINK_BITS_PER_S))
            settings = {
                "ae ARCHIVE.ae_title": "MEDSERVER",
                "ae ARCHIVE.address": f"{link.address.host}:{link.address.port}",
                "ae ARCHIVE.transfer_syntaxes": "" if subject == UNCOMPRESSED else subject.removeprefix("stored "),
                "store.transcoded_max_bytes": 0,  # else the second time would be another thing than the first
            }
            source = self.start(MEDSERVER, self.stack, settings=settings)
            is_stored = subject.startswith("stored")
            paths = compressed(self._paths, self.folder / "j2k") if is_stored else self._paths
            clients.store(source.address, [paths], j2k=is_stored)
            source.settle()
            self._sources[subject] = source.address

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images that arrive in a second."""
        subject = UNCOMPRESSED if candidate == UNCOMPRESSED else cell.subject
        study_instance_uid = self.material.study("CT").study_instance_uid
        count = len(self._paths)
        return count / clients.move(self._sources[subject], study_instance_uid, count, destination="MEDSERVER")


_ARCHIVE = {"ae MEDSERVER.address": "127.0.0.1", "ae MEDSERVER.allow": "store"}


def compressed(paths: list[Path], folder: Path) -> list[Path]:
    """Return files compressed to JPEG 2000, in the same order; those that are there already are taken."""
    if not folder.exists():
        with ExitStack() as archives, codecs.Workers(PROCESSES) as workers:
            found = find_instances(paths, archives)
            to_uid = transfer_syntax_named("j2k")
            for one in transcode_files(
                found, lambda name: folder / Path(name).name, to_uid, workers, processes=PROCESSES
            ):
                if one.problem or one.kept:
                    shutil.rmtree(folder)
                    raise RuntimeError(f"{one.name}: {one.problem or one.kept}")
    return [folder / path.name for path in paths]
