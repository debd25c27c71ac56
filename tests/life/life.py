"""One SOP Instance in a node with three volumes: what happens to it, and what is there of it in the end."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset

from medserver import archive
from medserver.codecs import Transcoder
from medserver.config import ConfigFile
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.errors import DuplicateInstance, MedserverError
from medserver.index import StoredCopy
from medserver.node import Node, open_node
from medserver.safekeeping.compression import queue_compression
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.seeking import queue_missing, queue_repairs
from medserver.safekeeping.verification import verify_copies
from medserver.volumes import add
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.archive.test_rebuild import variant
from tests.clock import Clock
from tests.codec_workers import SharedWorkers
from tests.peers.files import make_small

RLE = SHORT_NAMES["rle"]
VOLUMES = ("main", "near", "cold")
BETWEEN_S = 3600.0
"""From one event to the next: longer than ``[store] verify_interval``, so that no copy is believed without reading."""

JOB_ROUNDS = 12

_INDEX_FILES = ("index.db", "index.db-wal")
_OPTIONS = (
    "volume main.path=store", "volume main.role=primary", "volume near.path=near", "volume near.role=replica",
    "volume cold.path=cold", "volume cold.role=archive", "store.verify_interval=60s",
)  # fmt: skip


class Images:
    """Two objects with one SOP Instance UID, A and B, and which of them some bytes are.

    Parameters
    ----------
    directory : Path
        Where files are made.
    """

    def __init__(self, directory: Path) -> None:
        self.sample, self.bystander = make_small(directory, 2)
        pixels = bytearray(pydicom.dcmread(self.sample.path).PixelData)
        pixels[0] ^= 3
        changed = variant(self.sample, PixelData=bytes(pixels), ImageComments="other", InstanceNumber="7")
        self.data_sets = {"A": self.sample.data_set(), "B": changed}
        self._names = {hashlib.sha256(data_set).hexdigest(): name for name, data_set in self.data_sets.items()}
        uncompressed = self.sample.transfer_syntax_uid
        every = {**self.data_sets, "bystander": self.bystander.data_set()}
        self._pixels = {_pixels(data_set, uncompressed): name for name, data_set in every.items()}

    def name_of(self, data_set: bytes, transfer_syntax_uid: str) -> str | None:
        """Return whose bytes or pixels a data set has; None if it is damaged."""
        digest = hashlib.sha256(data_set).hexdigest()
        if digest not in self._names and transfer_syntax_uid == RLE:
            try:
                self._names[digest] = self._pixels[_pixels(data_set, RLE)]
            except (KeyError, ValueError, AttributeError):
                return None
        return self._names.get(digest)


def _pixels(data_set: bytes, transfer_syntax_uid: str) -> bytes:
    dataset = read_dataset(io.BytesIO(data_set), False, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    return dataset.pixel_array.tobytes()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file on a volume; `content` is None if it is damaged."""

    volume: str
    path: str
    content: str | None


class Life:
    """An archive, and one instance that things happen to.

    Parameters
    ----------
    folder : Path
        Where its data folder is; made by `new` or copied.
    images : Images
        What is received.
    workers : SharedWorkers
        Who compresses.
    index_url : str, optional
        Another index than SQLite's.

    Attributes
    ----------
    node : Node
        While it is open.
    """

    node: Node

    def __init__(self, folder: Path, images: Images, workers: SharedWorkers, index_url: str | None = None) -> None:
        self.folder, self.images = folder, images
        self.clock = Clock()
        self.workers = workers
        self._index_url = index_url
        self._held = ExitStack()

    def __enter__(self) -> Life:
        self.open()
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the node, as each process does."""
        self.node = self.opened(self._index_url)
        self._held.callback(self.node.close)
        if self.index_path is not None:
            self._note_flushes()

    def close(self) -> None:
        """Close the node."""
        self._held.pop_all().close()

    def opened(self, index_url: str | None) -> Node:
        """Open the node with an index."""
        node = open_node(self._config(), index_url=index_url, clock=self.clock)
        return dataclasses.replace(node, transcoder=Transcoder(self.workers))

    def _config(self, *options: str) -> ConfigFile:
        return ConfigFile(self.folder / "config.ini", (f"node.data={self.folder / 'data'}", *_OPTIONS, *options))

    def new(self) -> None:
        """Make the archive, with its volumes."""
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "config.ini").write_text("[node]\n")
        self.opened(f"sqlite:///{self.folder / 'empty.db'}").close()  # to make it takes longer than all that is done
        with self:
            names = [name for name in VOLUMES if name not in self.node.index.volumes.all()]
            for name in names:
                add(self.node.index, self.node.volumes[name])
            assert self.node.watch.look() == {}
            receive(self.node, self.images.bystander)
            queue_compression(self.node, RLE)
            self.run()
            self.clock.advance(BETWEEN_S)

    def has_bystander(self) -> bool:
        """Tell whether another instance is found, which nothing happened to."""
        uid = self.images.bystander.sop_instance_uid
        found = self.node.index.instances([uid]).get(uid)
        return found is not None and self.content_of(found) == "bystander"

    def copy_to(self, folder: Path) -> Life:
        """Return the same in another folder; nobody has it open."""
        shutil.copytree(self.folder, folder)
        life = Life(folder, self.images, self.workers, self._index_url)
        life.clock.now = self.clock.now
        return life

    @property
    def index_path(self) -> Path | None:
        """The file of the index, if it is one."""
        return None if self._index_url else self.folder / "data" / "index.db"

    def _note_flushes(self) -> None:
        """Keep the index as it was at the last flush; to close it is one."""
        backend = self.node.index.backend
        flush = backend.flush

        def noted() -> None:
            flush()
            self._keep_flushed()

        backend.flush = noted
        self._keep_flushed()

    def _keep_flushed(self) -> None:
        kept = self.folder / "flushed"
        kept.mkdir(exist_ok=True)
        for name in _INDEX_FILES:
            (kept / name).unlink(missing_ok=True)
            if (self.folder / "data" / name).exists():
                shutil.copyfile(self.folder / "data" / name, kept / name)

    def lose_unflushed(self) -> None:
        """Let the index, which nobody has open, be what it was at the last flush."""
        if self.index_path is not None:
            for name in (*_INDEX_FILES, "index.db-shm"):
                (self.folder / "data" / name).unlink(missing_ok=True)
            shutil.copytree(self.folder / "flushed", self.folder / "data", dirs_exist_ok=True)

    # What happens

    def receive(self, content: str, duplicates: str = "keep") -> str:
        """Receive an object; return the outcome, ``rejected`` among them."""
        node = dataclasses.replace(self.node, config=self._config(f"store.duplicates={duplicates}"))
        try:
            return receive(node, self.images.sample, self.images.data_sets[content])
        except DuplicateInstance:
            return "rejected"

    def run(self, *kinds: str) -> None:
        """Run what is due of some kinds of jobs; of all, if none is named, until nothing is left that can be done."""
        runner = Runner(self.node, [kind for kind in JOB_KINDS if not kinds or kind.name in kinds], periodic=())
        if kinds:
            while runner.run_due():
                pass
            return
        for _ in range(JOB_ROUNDS):
            while runner.run_due():
                pass
            if all(job.state == "dead" for job in self.node.index.jobs.list()):
                return
            self.clock.advance(BETWEEN_S)

    def verify(self) -> None:
        """Read every copy, as is done periodically."""
        list(verify_copies(self.node, list(self.node.index.locations()), Pace(0)))

    def seek(self) -> None:
        """Look for what is missing and what is bad, as is done periodically."""
        for name in VOLUMES:
            queue_missing(self.node, name)
        queue_repairs(self.node)

    # What there is

    @property
    def sop_instance_uid(self) -> str:
        return self.images.sample.sop_instance_uid

    def current(self) -> StoredCopy | None:
        """Return the copy of the current object that is read first."""
        return self.node.index.instances([self.sop_instance_uid]).get(self.sop_instance_uid)

    def current_on(self, volume: str) -> StoredCopy | None:
        """Return the copy of the current object on a volume."""
        current = self.current()
        copies = self.node.index.copies_of(current) if current else []
        return next((copy for copy in copies if copy.volume == volume), None)

    def duplicates(self) -> list[StoredCopy]:
        """Return a copy of each object that is not current."""
        return list(self.node.index.duplicates())

    def stored(self) -> set[str]:
        """Return the contents that can be retrieved, current or not."""
        return self.stored_in(self.node)

    def stored_in(self, node: Node) -> set[str]:
        """Return the contents that can be retrieved by way of another index."""
        copies = [*node.index.instances([self.sop_instance_uid]).values(), *node.index.duplicates()]
        return {content for copy in copies if (content := self.content_of(copy, node))}

    def content_of(self, copy: StoredCopy, node: Node | None = None) -> str | None:
        """Return what an object is as it would be sent; None if it cannot be."""
        try:
            with archive.open_data_set(node or self.node, copy) as data_set:
                return self.images.name_of(data_set.read(copy.size_bytes), copy.transfer_syntax_uid)
        except MedserverError:
            return None

    def file(self, volume: str, path: str) -> Path:
        return Path(self.node.volumes[volume].root) / path

    def files(self, *, known: bool = False) -> Iterator[StoredFile]:
        """Yield every file of an object, on every volume; or those that the index knows."""
        for name, volume in self.node.volumes.items():
            for path in volume.walk():
                if known and not self.node.index.has_location(name, path):
                    continue
                yield StoredFile(name, path, self._content_of_file(self.file(name, path)))

    def _content_of_file(self, path: Path) -> str | None:
        content = path.read_bytes()
        try:
            meta = read_file_meta(io.BytesIO(content))
        except MedserverError:
            return None
        data_set = content[meta.data_set_offset :]
        if hashlib.sha256(data_set).hexdigest() != path.name[:64]:
            return None  # also if its pixels are what they were
        return self.images.name_of(data_set, meta.transfer_syntax_uid)

    def rebuilt(self) -> Node:
        """Open the node with a new index beside the old one; the caller closes it."""
        path = self.folder / "new.db"
        shutil.copyfile(self.folder / "empty.db", path)
        return self.opened(f"sqlite:///{path}")


def make_template(folder: Path, images: Images, workers: SharedWorkers) -> Life:
    """Make a new archive."""
    life = Life(folder, images, workers)
    life.new()
    return life
