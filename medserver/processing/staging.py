"""The folders between this process and the one that computes: files of what goes in, and of what comes out."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from medserver import archive, modes
from medserver.archive.fetch import open_object
from medserver.archive.frames import extract_frames
from medserver.dicom.frame_lists import SIMPLE, FrameKeys
from medserver.dicom.part10 import FileMeta
from medserver.errors import (
    CannotTranscode,
    DamagedObject,
    NotMultiFrame,
    ObjectNotReadable,
    ObjectTypeNotSupported,
    TransferSyntaxNotSupported,
    WorkStopped,
)
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.processing.inputs import Input
from medserver.processing.pixels import OF_FRAMES

FOLDER = "processing"
"""Below the data folder: a folder for each item that is being processed."""

COPY_BYTES = 1024 * 1024
AT_ONCE = 4
"""So many objects are read at a time."""


@contextmanager
def staged(node: Node) -> Iterator[tuple[Path, Path]]:
    """Give two empty folders, for what goes in and for what comes out.

    A folder is locked while it is used: one that is not was left by a process that was killed, and is removed.
    """
    root = node.config.current.node.data / FOLDER
    modes.make_directories(root)
    _clean(root)
    folder, descriptor = _locked_folder(root)
    try:
        inputs, outputs = folder / "in", folder / "out"
        inputs.mkdir()
        outputs.mkdir()
        yield inputs, outputs
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(root: Path) -> tuple[Path, int]:
    """Make a folder; another process may remove it before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _clean(root: Path) -> None:
    for entry in root.iterdir():
        with suppress(OSError):  # it is gone
            descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(descriptor)


Linked = tuple[StoredCopy, Path]
"""An object, and its file in the folder, which has not been compared with its digest."""


def write_inputs(
    node: Node, inputs: Iterable[Input], folder: Path, unless: Callable[[], bool], *, may_link: bool = False
) -> list[Linked]:
    """Write each object, or the frames of it that go in, into a folder, as a Part 10 file, compared with its digest.

    Parameters
    ----------
    unless : callable
        Tells whether nobody wants it any longer.
    may_link : bool
        Whether whole objects may lie there as the very files of the volume, where it is in the same file system: only
        for who changes none of them.

    Returns
    -------
    list of Linked
        What was not copied, and is still to be compared: see `comparison`.

    Raises
    ------
    ObjectNotReadable
        No copy of one is what was stored.
    ObjectTypeNotSupported
        Frames of one go in that it cannot be taken apart into.
    StoreFailure
        A volume cannot be read now.
    WorkStopped
        Nobody wants it any longer.
    """

    def write(number: int, one: Input) -> Linked | None:
        if unless():
            raise WorkStopped("nobody wants it any longer")
        path = folder / f"{number:06d}{OF_FRAMES if one.frames else '.dcm'}"
        try:
            if one.frames:
                _write_frames(node, one, path)
            elif may_link and archive.link_object(node, one.copy, path):
                return one.copy, path
            else:
                _write(node, one.copy, path)
            return None
        except DamagedObject as error:
            raise ObjectNotReadable(f"instance {one.copy.sop_instance_uid}: {error}") from error
        except (CannotTranscode, NotMultiFrame, TransferSyntaxNotSupported) as error:
            raise ObjectTypeNotSupported(f"frames of instance {one.copy.sop_instance_uid}: {error}") from error

    inputs = list(inputs)
    if len(inputs) == 1:
        return list(filter(None, [write(1, inputs[0])]))
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(inputs)))) as pool:
        try:
            return list(filter(None, pool.map(write, range(1, len(inputs) + 1), inputs)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_frames(node: Node, one: Input, path: Path) -> None:
    stored = one.copy
    with extract_frames(node, stored, FrameKeys(SIMPLE, one.frames)) as (extracted, uid), path.open("xb") as file:
        file.write(FileMeta(stored.sop_class_uid, uid, stored.transfer_syntax_uid).encode())
        with extracted.open() as data_set:
            shutil.copyfileobj(data_set, file, COPY_BYTES)


def _write(node: Node, stored: StoredCopy, path: Path) -> None:
    opened = open_object(node, stored)
    with opened.data_set, path.open("xb") as file:
        file.write(opened.file_meta)
        while chunk := opened.data_set.read(COPY_BYTES):
            file.write(chunk)
