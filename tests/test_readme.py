"""README.rst and the manual work as written: every console block is run against a real node."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from docutils import nodes
from pydicom.uid import JPEG2000Lossless

from medserver.cli import SUBCOMMANDS
from medserver.cli.manual import pages
from medserver.config import read_config
from tests.documents import parse
from tests.peers import Address, is_installed, requires
from tests.peers.files import data_set_bytes
from tests.peers.node import REPOSITORY
from tests.peers.ports import free_port
from tests.peers.process import Server, run

README = (REPOSITORY / "README.rst").read_text()
DOCUMENTS = [README, *(pages()[topic] for topic in re.findall(r"^``(\w+)``  ", README, re.MULTILINE))]
POSTGRESQL_URL = "postgresql://medserver@localhost/medserver"
NODE_PORT, DESTINATION_PORT = "11112", "11113"
RECEIVED_IN = ("moved", "fetched", "got")


@dataclass(frozen=True)
class Example:
    """A command of the README, and the texts that are shown below it."""

    command: str
    shown: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether a fatal message of a DCMTK program is shown, bool."""
        return any(line.startswith("F: ") for line in self.shown)


def examples() -> list[Example]:
    """Return the commands of all console blocks."""
    found = []
    for block in (block for text in DOCUMENTS for block in parse(text).findall(nodes.literal_block)):
        if "console" in block["classes"]:
            text = re.sub(r"\\\n\s*", "", block.astext())
            for command, shown in re.findall(r"^\$ (.*)\n?((?:(?!\$ ).*\n?)*)", text, re.MULTILINE):
                found.append(Example(command, tuple(line for line in shown.splitlines() if line)))
    return found


class Reader:
    """Somebody who types what the README says, in a folder with the repository's config.ini.

    Parameters
    ----------
    folder : Path
        An empty folder. Its path must not contain the ports.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = ExitStack()
        self.node: Server | None = None
        self._texts = {NODE_PORT: str(free_port()), DESTINATION_PORT: str(free_port())}
        programs = folder / ".venv/bin"
        programs.mkdir(parents=True)
        for name, arguments in (("python", ""), ("medserver", "-m medserver ")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}"$@"\n')
            program.chmod(0o755)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        (folder / "config.ini").write_text(self.adapted((REPOSITORY / "config.ini").read_text()))

    def adapted(self, text: str) -> str:
        """Return a text with the ports, and the database, of this test."""
        for written, used in self._texts.items():
            text = text.replace(written, used)
        return text

    def type(self, example: Example) -> None:
        """Run a command and compare what it shows."""
        command = self.adapted(example.command)
        program, *arguments = shlex.split(command)
        if program == "scripts/serve":
            self.node = self._start(["medserver", "--config", "config.ini", "serve", *arguments], NODE_PORT)
        elif program == "storescp":
            self._start([program, *arguments], DESTINATION_PORT)
        else:
            self._run(command, example)

    def _start(self, arguments: list[str], port: str) -> Server:
        program = shutil.which(arguments[0], path=self._environment["PATH"])
        server = Server(
            [program, *arguments[1:]],
            log=self.folder / f"{arguments[0]}.log",
            environment=self._environment,
            directory=self.folder,
        )
        self.servers.callback(server.kill)
        server.wait_for_port(Address("", int(self._texts[port])))
        return server

    def _run(self, command: str, example: Example) -> None:
        if "index rebuild" in command or "backup restore" in command:
            assert self.node.stop() == 0  # the README says so
        if POSTGRESQL_URL in command:
            self._texts[POSTGRESQL_URL] = shlex.quote(self._new_database())
            command = self.adapted(command)
        script = f"cd {shlex.quote(str(self.folder))} && {command}"
        completed = run(["bash", "-c", script], environment=self._environment)
        where = f"$ {command}\n{completed.output}"
        assert (completed.exit_code != 0) == example.fails, where
        for line in example.shown:
            assert self.adapted(line) in completed.output, where

    def _new_database(self) -> str:
        from tests.index.cluster import Cluster, find_programs

        cluster = Cluster(find_programs())
        self.servers.callback(cluster.remove)
        cluster.start()
        return cluster.new_database()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Give somebody in an empty folder; the log of the node is shown when the test fails."""
    requires("dcmtk")
    one = Reader(tmp_path)
    with one.servers:
        yield one
    for log in tmp_path.glob("*.log"):
        sys.stdout.write(log.read_text(errors="replace"))


def data_sets(folder: Path) -> dict[str, bytes]:
    """Return the data sets of the files in a folder by SOP Instance UID."""
    return {
        pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: data_set_bytes(path)
        for path in folder.iterdir()
    }


def pixels(folder: Path) -> dict[str, bytes]:
    """Return the pixels of the files in a folder by SOP Instance UID."""
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    return {dataset.SOPInstanceUID: dataset.pixel_array.tobytes() for dataset in datasets}


def syntax_of(path: Path) -> str:
    return pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID


def test_every_command_works_and_the_images_come_back(reader: Reader) -> None:
    for example in examples():
        if POSTGRESQL_URL in example.command and not is_installed("postgresql"):
            requires("postgresql")
        reader.type(example)
    sent = data_sets(reader.folder / "images")
    assert len(sent) == 3
    for folder in RECEIVED_IN:
        assert data_sets(reader.folder / folder) == sent, folder
    assert pixels(reader.folder / "restored") == pixels(reader.folder / "original")
    assert {syntax_of(path) for path in (reader.folder / "compressed").iterdir()} == {JPEG2000Lossless}
    config = reader.adapted((REPOSITORY / "config.ini").read_text())
    assert (reader.folder / "config.ini").read_text().rstrip() == config.rstrip()


def test_the_examples_are_found() -> None:
    programs = [shlex.split(example.command)[0] for example in examples()]
    tools = {"echoscu", "storescu", "findscu", "storescp", "movescu", "getscu"}
    assert {"scripts/serve", "medserver", *tools} <= set(programs)
    assert [example.fails for example in examples()].count(True) == 1


def test_every_topic_of_the_manual_is_named_with_its_title() -> None:
    named = re.findall(r"^``(\w+)``  +(.*)$", README, re.MULTILINE)
    assert sorted(named) == [(name, text.splitlines()[0]) for name, text in pages().items()]


def test_the_two_commands_exist() -> None:
    for name in ("scripts/serve", "scripts/test", "scripts/environment"):
        assert name in "\n".join(DOCUMENTS)
        assert os.access(REPOSITORY / name, os.X_OK)


def test_every_subcommand_is_mentioned_and_no_other() -> None:
    mentioned = set(re.findall(r"(?:``|\$ )medserver (?:--\S+ \S+ )*([a-z]+)", "\n".join(DOCUMENTS)))
    names = {name for name, _ in SUBCOMMANDS}
    assert mentioned <= names
    assert names <= mentioned


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"``((?:services|archive|wire|dicom|tests)/[a-z_/]+\.py)``", "\n".join(DOCUMENTS)))
    assert len(named) > 5
    for name in named:
        assert (REPOSITORY / name).exists() or (REPOSITORY / "medserver" / name).exists(), name


def test_the_examples_of_rules_are_right() -> None:
    shipped = (REPOSITORY / "config.ini").read_text()
    blocks = [block for text in DOCUMENTS for block in parse(text).findall(nodes.literal_block)]
    blocks = [block.astext() for block in blocks if "ini" in block["classes"]]
    blocks = [text for text in blocks if text.startswith(("[route ", "[poll "))]
    config = read_config("\n".join([shipped, *blocks]), base=REPOSITORY).config
    assert config.routes
    assert config.polls
