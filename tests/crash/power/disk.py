"""A disk with a cache: what is on it for certain, and what a power cut may leave of the rest.

The model is weaker than the file systems that there are. A file holds what was written to it before its last flush
(fsync, fdatasync, syncfs); of what was written since, any pages may be there and any may not, and of one a part. A
directory has the names that it had at its last flush; of the changes since, those before some moment are there, and
each directory has a moment of its own. Only a rename from one directory into another is never half done the wrong way:
the old name does not go before the new one is there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from tests.crash.power.content import SECTOR_BYTES, Content, pieces
from tests.crash.power.log import Record

_Write = tuple[int, int, bytes | None]  # when, offset, data; without data, the offset is the new size


class File:
    """A file: its stable content, and what was done to it since."""

    def __init__(self, content: Content) -> None:
        self.stable = content
        self.pending: list[_Write] = []

    def flush(self, before: int) -> None:
        """Let what was done before a moment be stable."""
        while self.pending and self.pending[0][0] < before:
            _apply(self.stable, self.pending.pop(0))

    def now(self) -> Content:
        """Return what a process reads."""
        content = self.stable.copy()
        for write in self.pending:
            _apply(content, write)
        return content

    def after_cut(self, chance: random.Random, kept: float) -> Content:
        """Return what may be there after a power cut; each page with a probability."""
        if not self.pending:
            return self.stable
        content = self.stable.copy()
        for _, offset, data in self.pending:
            if data is None:
                if chance.random() < kept:
                    content.resize(offset)
                continue
            for start, piece in pieces(offset, data):
                if chance.random() < kept:
                    content.write(start, piece)
                elif chance.random() < 0.1:  # torn
                    content.write(start, piece[: chance.randrange(0, len(piece) + 1, SECTOR_BYTES)])
            if chance.random() < kept / 2:  # the new size is there, not the bytes
                content.resize(max(content.size_bytes, offset + len(data)))
        return content


def _apply(content: Content, write: _Write) -> None:
    _, offset, data = write
    if data is None:
        content.resize(offset)
    else:
        content.write(offset, data)


class Directory:
    """A directory: the names that are stable, those that a process sees, and how it came from the ones to the others.

    A change is a moment, and what each name becomes; `needs` is the change of another directory that has to be stable
    before.
    """

    def __init__(self) -> None:
        self.stable: dict[str, Node] = {}
        self.names: dict[str, Node] = {}
        self.pending: list[_Change] = []

    def change(self, change: _Change) -> None:
        """Change names."""
        self.pending.append(change)
        _alter(self.names, change)

    def flush(self, before: int) -> None:
        """Let what was changed before a moment be stable."""
        while self.pending and self.pending[0].moment < before:
            change = self.pending.pop(0)
            if change.needs is not None:
                change.needs.flush(change.moment + 1)
            _alter(self.stable, change)


class _Change:
    def __init__(self, moment: int, names: dict[str, Node | None], needs: Directory | None = None) -> None:
        self.moment, self.names, self.needs = moment, names, needs


Node = File | Directory
_AnyNode = TypeVar("_AnyNode", File, Directory)


def _alter(names: dict[str, Node], change: _Change) -> None:
    for name, node in change.names.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """Everything below a folder.

    Parameters
    ----------
    folder : Path
        As it is now, all of it stable.
    only : str
        The name in it below which everything is; what else is there does not count.
    """

    def __init__(self, folder: Path, only: str = "data") -> None:
        self._only = only
        self._inodes: dict[int, Node] = {}
        self._nodes: list[Node] = []  # also those whose inode is that of another one by now
        self._flushes: dict[str, int] = {}
        self._delayed: list[Record] = []
        self._moment = 0
        self.root = self._enter(folder.stat().st_ino, Directory())
        if (folder / only).exists():
            self._load(folder / only, self.root)

    def _load(self, path: Path, into: Directory) -> None:
        found = path.lstat()
        node = self._inodes.get(found.st_ino)
        if node is None:
            node = self._enter(found.st_ino, Directory() if path.is_dir() else File(Content.of(path)))
        into.stable[path.name] = into.names[path.name] = node
        if isinstance(node, Directory):
            for child in sorted(path.iterdir()):
                if not child.name.endswith("-shm"):
                    self._load(child, node)

    def _enter(self, inode: int, node: _AnyNode) -> _AnyNode:
        self._inodes[inode] = node
        self._nodes.append(node)
        return node

    # -- playing -------------------------------------------------------------------------------------------------------

    def play(self, records: Iterable[Record]) -> list[str]:
        """Do what a log says; return the marks in it.

        A process may note what it did after another one has noted what followed from it: then that waits.
        """
        marks = []
        for record in records:
            self._moment += 1
            if record[0] == "mark":
                marks.append(record[1])
            elif not self._do(record):
                self._delayed.append(record)
            elif self._delayed:
                self._delayed = [one for one in self._delayed if not self._do(one)]
        return marks

    def _do(self, record: Record) -> bool:
        """Do what a record says; False if it must wait for another one."""
        kind, *arguments = record
        return getattr(self, f"_do_{kind.replace(' ', '_')}")(*arguments)

    def _do_new(self, directory: int, name: str, inode: int, is_directory: bool) -> bool:
        names = self._names(directory)
        if names is None or (name in names and names[name] is not self._inodes.get(inode)):
            return False
        if name not in names:  # else another process has noted it
            self._change(directory, {name: self._enter(inode, Directory() if is_directory else File(Content()))})
        return True

    def _do_link(self, directory: int, name: str, inode: int) -> bool:
        names = self._names(directory)
        if names is None or name in names or inode not in self._inodes:
            return False
        self._change(directory, {name: self._inodes[inode]})
        return True

    def _do_removed(self, directory: int, name: str) -> bool:
        names = self._names(directory)
        if names is None or name not in names:
            return False
        self._change(directory, {name: None})
        return True

    def _do_rename(self, source: int, old: str, target: int, new: str) -> bool:
        names = self._names(source)
        if names is None or old not in names or self._names(target) is None:
            return False
        node = names[old]
        if source == target:
            self._change(target, {old: None, new: node})
        else:
            self._change(target, {new: node})
            self._inodes[source].change(_Change(self._moment, {old: None}, needs=self._inodes[target]))
        return True

    def _do_write(self, inode: int, offset: int, data: bytes) -> bool:
        return self._alter(inode, offset, data)

    def _do_zeros(self, inode: int, offset: int, length: int) -> bool:
        return self._alter(inode, offset, bytes(length))

    def _do_size(self, inode: int, size: int) -> bool:
        return self._alter(inode, size, None)

    def _do_content(self, inode: int, content: bytes) -> bool:
        return self._alter(inode, len(content), None) and self._alter(inode, 0, content)

    def _alter(self, inode: int, offset: int, data: bytes | None) -> bool:
        node = self._inodes.get(inode)
        if isinstance(node, File):
            node.pending.append((self._moment, offset, data))
        return True  # what is not below the folder does not count

    def _do_flush(self, start: str) -> bool:
        self._flushes[start] = self._moment
        return True

    def _do_flushed(self, inode: int, start: str) -> bool:
        before = self._flushes.pop(start)
        if inode in self._inodes:
            self._inodes[inode].flush(before)
        return True

    def _do_flushed_all(self, start: str) -> bool:
        before = self._flushes.pop(start)
        for node in self._nodes:
            node.flush(before)
        return True

    def _names(self, directory: int) -> dict[str, Node] | None:
        node = self._inodes.get(directory)
        return node.names if isinstance(node, Directory) else None

    def _change(self, directory: int, names: dict[str, Node | None]) -> None:
        self._inodes[directory].change(_Change(self._moment, names))

    # -- what is there -------------------------------------------------------------------------------------------------

    def store(self, folder: Path) -> None:
        """Write what processes see: without a power cut."""
        _store(self.root.names, folder, self._only, lambda node: node.names, File.now, {})

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write what may be there after a power cut at this moment into a folder, which is empty or not there."""
        kept = chance.choice([0.0, 0.0, 0.5, 0.9, 1.0])
        kept_names = chance.choice([0.0, 0.0, 0.5, 1.0])
        counts: dict[Directory, int] = {}
        for node in self._nodes:
            if isinstance(node, Directory):
                whole = chance.random() < kept_names
                counts[node] = len(node.pending) if whole else chance.randint(0, int(kept_names * len(node.pending)))
        self._keep_renames_whole(counts)

        def names_of(directory: Directory) -> dict[str, Node]:
            names = dict(directory.stable)
            for change in directory.pending[: counts[directory]]:
                _alter(names, change)
            return names

        _store(names_of(self.root), folder, self._only, names_of, lambda file: file.after_cut(chance, kept), {})

    def _keep_renames_whole(self, counts: dict[Directory, int]) -> None:
        """Let no old name be gone whose new one is not there."""
        changed = True
        while changed:
            changed = False
            for directory, count in counts.items():
                for number, change in enumerate(directory.pending[:count]):
                    needed = change.needs
                    if needed is not None and _missing(needed, counts[needed], change.moment):
                        counts[directory], changed = number, True
                        break


def _missing(directory: Directory, count: int, moment: int) -> bool:
    """Tell whether a change of a moment is not among the first ones that are kept."""
    return any(change.moment == moment for change in directory.pending[count:])


def _store(names, folder: Path, only: str | None, names_of, content_of, stored: dict[Node, Path]) -> None:
    folder.mkdir(exist_ok=True)
    for name, node in names.items():
        path = folder / name
        if only is not None and name != only:
            continue
        if isinstance(node, Directory):
            _store(names_of(node), path, None, names_of, content_of, stored)
        elif node in stored:
            os.link(stored[node], path)
        else:
            content_of(node).store(path)
            stored[node] = path
