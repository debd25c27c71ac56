"""A CT series compressed and decompressed, two images at a time, beside gdcmconv."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from medserver import codecs
from medserver.dicom.part10 import FileMeta
from medserver.dicom.syntax_names import transfer_syntax_named
from medserver.scu.files import find_instances
from medserver.scu.storage import Outgoing
from scripts.benchmarks.candidates import MEDSERVER
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage

AT_ONCE = 2
IMAGES_MAX = 100


class Transcoding(Stage):
    """Files in a folder, and the worker processes."""

    def prepare(self, cells: list[Cell]) -> None:
        """Have the series, uncompressed and compressed, and workers that have started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._workers = self.stack.enter_context(codecs.Workers(AT_ONCE))
        self._threads = self.stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        plain = self.material.study("CT").paths[:IMAGES_MAX]
        self._sources = {"explicit": plain}
        for name in {cell.subject for cell in cells if cell.operation == "decompress"}:
            folder = self.folder / name
            self._transcode(plain, folder, transfer_syntax_named(name))
            self._sources[name] = sorted(folder.iterdir())
        self._transcode(plain[:AT_ONCE], self.folder / "first", transfer_syntax_named("j2k"))

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images in a second."""
        compress = cell.operation == "compress"
        paths = self._sources["explicit" if compress else cell.subject]
        target = self.folder / "out"
        shutil.rmtree(target, ignore_errors=True)
        if candidate == MEDSERVER:
            name = cell.subject if compress else "explicit"
            work = partial(self._transcode, paths, target, transfer_syntax_named(name))
        else:
            work = partial(self._gdcmconv, paths, target, "--j2k" if compress else "--raw")
        for path in paths:
            path.read_bytes()
        began_at = time.perf_counter()
        work()
        return len(paths) / (time.perf_counter() - began_at)

    def _transcode(self, paths: list[Path], target: Path, to_uid: str) -> None:
        target.mkdir(exist_ok=True)
        with ExitStack() as archives:
            found = [one.outgoing for one in find_instances(paths, archives)]

            def transcode(outgoing: Outgoing) -> None:
                with (
                    outgoing.open_data_set() as data_set,
                    codecs.transcode(
                        data_set,
                        outgoing.size_bytes,
                        outgoing.transfer_syntax_uid,
                        to_uid,
                        self._workers,
                        self.folder,
                    ) as transcoded,
                    transcoded.open() as new,
                    (target / outgoing.sop_instance_uid).open("wb") as file,
                ):
                    file.write(_head(outgoing, to_uid))
                    shutil.copyfileobj(new, file, 1024 * 1024)

            self._all(transcode, found)

    def _gdcmconv(self, paths: list[Path], target: Path, option: str) -> None:
        target.mkdir()
        self._all(
            lambda path: subprocess.run(["gdcmconv", option, path, target / path.name], check=True), paths
        )

    def _all(self, work: Callable, items: list) -> None:
        for _ in self._threads.map(work, items):
            pass


def _head(outgoing: Outgoing, transfer_syntax_uid: str) -> bytes:
    return FileMeta(outgoing.sop_class_uid, outgoing.sop_instance_uid, transfer_syntax_uid).encode()
