"""README.rst and the manual work as written: every command is typed in a clean shell, and its whole output compared."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pydicom
import pytest
from docutils import nodes
from pydicom.uid import JPEG2000Lossless

from medserver.cli import SUBCOMMANDS
from medserver.cli.manual import pages
from medserver.config import read_config
from medserver.processing.checking import problems_of
from tests.conftest import MakeDirectory
from tests.documents import parse
from tests.peers import Address, find_program, requires
from tests.peers.files import data_set_bytes
from tests.peers.node import REPOSITORY
from tests.peers.ports import free_port
from tests.peers.process import Server, wait_until
from tests.peers.terminal import Terminal

README = (REPOSITORY / "README.rst").read_text()
MANUAL = pages()
DOCUMENTATION = "\n".join([README, *MANUAL.values()])
POSTGRESQL_URL = "postgresql://medserver@localhost/medserver"
NODE_PORT, DESTINATION_PORT = "11112", "11113"
TOUR_FOLDER = "/tmp/medserver-tour"
INSTALLED_IN = r"~/medserver|/home/me/medserver"
RECEIVED_IN = ("got", "fetched", "moved")

# They show the jobs, of which some come and go all the time.
LOOKS = ("medserver jobs", "medserver store status")

CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "tests", "data", "build", "*.egg-info", "__pycache__", ".*_cache")
NOT_NEEDED = shutil.ignore_patterns("*.spare")  # 32 MB each, and made anew

VARYING = (
    ("\0", ""),  # findscu shows padding, and a terminal does not
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{6}\b", "<backup>"),
    (r"(<backup>.*) [\d.]+ kB", r"\1 <size>"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<moment>"),
    (r"(?<=replaced[-_])\w+", "<moment>"),
    (r"\b[\d.]+ (ms|s|min)(?!\w)", "<duration>"),
    (r"\b[\d.]+ (MB/s|GB|TB)(?!\w)", r"<number> \1"),
    (r"\b2\.25\.\d+", "<UID>"),
    (r"(?<=config.ini line )\d+", "<number>"),
    (r"\b[0-9a-f]{12}\b", "<version>"),
    (r"\b\d+ audit messages", "<number> audit messages"),
    (r" +(?=\S)", " "),  # columns are as wide as their widest cell
)
"""What differs from one run to the next: the pattern, and what stands for it when outputs are compared."""


@dataclass(frozen=True)
class Example:
    """A command of a document, and the lines that are shown below it."""

    command: str
    shown: str

    @property
    def fails(self) -> bool:
        """Whether a fatal message of a DCMTK program is shown, bool."""
        return "\nF: " in "\n" + self.shown


def section(document: str, title: str) -> nodes.section:
    """Return a section of a document."""
    [found] = [one for one in parse(document).findall(nodes.section) if one.next_node(nodes.title).astext() == title]
    return found


def examples(document: nodes.Element) -> list[Example]:
    """Return the commands of all console blocks."""
    found = []
    for block in document.findall(nodes.literal_block):
        if "console" in block["classes"]:
            text = re.sub(r"\\\n\s*", "", block.astext())
            assert text.startswith("$ "), text
            for command, shown in re.findall(r"^\$ (.*)\n?((?:(?!\$ ).*\n?)*)", text, re.MULTILINE):
                found.append(Example(command, shown))
    return found


def comparable(output: str) -> list[str]:
    """Return the lines of an output without what differs from one run to the next."""
    for pattern, replacement in VARYING:
        output = re.sub(pattern, replacement, output)
    return [line.rstrip() for line in output.splitlines() if line.strip()]


class Checkout:
    """A copy of the repository, with a virtual environment as `scripts/environment` makes it.

    Parameters
    ----------
    folder : Path
        An empty folder.
    texts : mapping of str to str
        What a document says, and what stands for it in this copy: ports.
    """

    def __init__(self, folder: Path, texts: dict[str, str]) -> None:
        self.folder = folder
        shutil.copytree(REPOSITORY, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
        config = folder / "config.ini"
        for said, meant in texts.items():
            config.write_text(config.read_text().replace(said, meant))
        self.programs = folder / ".venv/bin"
        self._make_environment()
        self._as_made = self.files()

    def _make_environment(self) -> None:
        """Make programs that run with the Python of the tests, those of pynetdicom among them."""
        self.programs.mkdir(parents=True)
        self._make_program("python", [])
        for package in ("medserver", "pynetdicom"):
            for entry in metadata.distribution(package).entry_points.select(group="console_scripts"):
                call = f"import sys; from {entry.module} import {entry.attr}; sys.exit({entry.attr}())"
                self._make_program(entry.name, ["-c", call])
        packages = Path(pydicom.__file__).parents[1]
        libraries = self.folder / f".venv/lib/python3.{sys.version_info.minor}"
        libraries.mkdir(parents=True)
        (libraries / "site-packages").symlink_to(packages)
        state = 'echo "$PWD $(cat setup.cfg pyproject.toml | sha256sum) []" >.venv/installed'  # nothing is missing
        subprocess.run(["bash", "-c", state], cwd=self.folder, check=True)

    def _make_program(self, name: str, arguments: list[str]) -> None:
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        python = shlex.join([sys.executable, "-P", *arguments])  # nothing is imported from the current folder
        program = self.programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {python} "$@"\n')
        program.chmod(0o755)

    def files(self) -> dict[str, bytes]:
        """Return what is in the folder, by path, without the environment."""
        paths = (path for path in self.folder.rglob("*") if ".venv" not in path.relative_to(self.folder).parts)
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}

    def is_clean(self) -> bool:
        """Tell whether nothing was added, changed or removed."""
        return self.files() == self._as_made


class Reader:
    """Somebody who types what a document says.

    Parameters
    ----------
    checkout : Checkout
        The repository.
    folder : Path
        What stands for the folder of the tour. It is next to the folder that has the logs.
    texts : mapping of str to str
        What a document says, and what stands for it here.
    path : str
        The PATH of the shell.
    begins_in : Path
        The folder in which the shell begins.
    """

    def __init__(self, checkout: Checkout, folder: Path, texts: dict[str, str], path: str, begins_in: Path) -> None:
        self.checkout, self.folder, self.node = checkout, folder, None
        self.servers = ExitStack()
        self._texts = texts | {TOUR_FOLDER: str(folder)}
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        self._environment = {"HOME": str(home), "PATH": path}
        self.terminal = Terminal(self._environment, begins_in)
        self.servers.callback(self.terminal.close)

    def adapted(self, text: str) -> str:
        """Return a text with the ports, folders and databases of this test."""
        for said, meant in self._texts.items():
            text = text.replace(said, meant)
        return text

    def type(self, example: Example) -> None:
        """Run a command and compare its whole output with what is shown."""
        if "scripts/serve" in example.command:
            self.start_node(example)
            return
        if "index rebuild" in example.command or "backup restore" in example.command:
            assert self.node.stop() == 0  # the manual says so
        if POSTGRESQL_URL in example.command:
            self._texts[POSTGRESQL_URL] = shlex.quote(self._new_database())
        if example.command in LOOKS:
            wait_until(lambda: self._shows(example), what=f"{example.command} as shown")
            return
        completed = self.terminal.type(self.adapted(example.command))
        told = f"$ {example.command}\n{completed.output}"
        assert comparable(completed.output) == comparable(self.adapted(example.shown)), told
        assert (completed.exit_code != 0) == example.fails, told

    def _shows(self, example: Example) -> bool:
        completed = self.terminal.type(self.adapted(example.command))
        return comparable(completed.output) == comparable(self.adapted(example.shown))

    def start_node(self, example: Example) -> None:
        """Start the node as in the first terminal of the tour, in the folder of the repository."""
        environment = [f"{name}={value}" for name, value in self._environment.items()]
        self.node = Server(
            ["env", "-i", *environment, "bash", "--noprofile", "--norc", "-c", self.adapted(example.command)],
            log=self.folder.parent / "serve.log",
            directory=self.checkout.folder,
        )
        self.servers.callback(self.node.kill)
        self.node.wait_for_port(Address("", int(self._texts[NODE_PORT])))

    def _new_database(self) -> str:
        from tests.index.cluster import Cluster, find_programs

        cluster = Cluster(find_programs())
        self.servers.callback(cluster.remove)
        cluster.start()
        return cluster.new_database()


@dataclass(frozen=True)
class Tour:
    """What the tour of README.rst has left: the node is stopped, the shell closed."""

    checkout: Checkout
    folder: Path
    texts: dict[str, str]
    path: str
    """The PATH of its second terminal."""


@pytest.fixture(scope="module", params=["in front", "behind"])
def tour(request: pytest.FixtureRequest, make_directory: MakeDirectory) -> Tour:
    """Follow the tour, with the programs of the environment in front of PATH or behind it."""
    requires("dcmtk")
    texts = {NODE_PORT: str(free_port()), DESTINATION_PORT: str(free_port())}
    directory = make_directory("tour")
    checkout = Checkout(directory / "checkout", texts)
    system = [CLEAN_PATH, str(Path(find_program("dcmdump")).parent)]
    programs = [str(checkout.programs)]
    path = programs + system if request.param == "in front" else system + programs
    reader = Reader(checkout, directory / "tour", texts, ":".join(path), checkout.folder)
    with reader.servers:
        for example in examples(section(README, "Tour")):
            reader.type(example)
        path_after = reader.terminal.type("echo $PATH").output.strip()
        assert reader.node.stop() == 0
    return Tour(checkout, reader.folder, texts, path_after)


@pytest.fixture
def reader(tour: Tour, tmp_path: Path) -> Iterator[Reader]:
    """Give somebody who has just finished the tour, with a node that runs; its log is shown when the test fails."""
    folder = tmp_path / "tour"
    shutil.copytree(tour.folder, folder, ignore=NOT_NEEDED)
    one = Reader(tour.checkout, folder, tour.texts, tour.path, folder)
    with one.servers:
        one.start_node(next(one for one in examples(section(README, "Tour")) if "scripts/serve" in one.command))
        yield one
    sys.stdout.write((tmp_path / "serve.log").read_text(errors="replace"))


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


def with_examples() -> list[str]:
    """Return the topics of the manual that have examples."""
    return [topic for topic, text in MANUAL.items() if examples(parse(text))]


def test_the_tour_works_and_the_images_come_back(tour: Tour) -> None:
    sent = data_sets(tour.folder / "images")
    assert len(sent) == 3
    for folder in RECEIVED_IN:
        assert data_sets(tour.folder / folder) == sent, folder
    assert tour.checkout.is_clean()


@pytest.mark.parametrize("topic", with_examples())
def test_the_examples_of_the_manual_work(reader: Reader, topic: str) -> None:
    if topic == "postgresql":
        requires("postgresql")
    for example in examples(parse(MANUAL[topic])):
        reader.type(example)
    if topic == "compression":
        assert pixels(reader.folder / "restored") == pixels(reader.folder / "images")
        assert {syntax_of(path) for path in (reader.folder / "compressed").iterdir()} == {JPEG2000Lossless}
    assert reader.checkout.is_clean()


def test_it_is_installed_beside_the_checkout(tmp_path: Path) -> None:
    """All that it needs is fetched by pip, as for everybody who installs it: that takes its time."""
    checkout, folder = Checkout(tmp_path / "checkout", {}), str(tmp_path / "installed")
    system = {name: value for name, value in os.environ.items() if name == "HOME" or name.startswith("PIP_")}
    terminal = Terminal({"PATH": CLEAN_PATH} | system, checkout.folder)
    for example in examples(section(README, "Installation")):
        command, shown = (re.sub(INSTALLED_IN, folder, said) for said in (example.command, example.shown))
        completed = terminal.type(command.replace("python3", sys.executable))
        assert completed.exit_code == 0, completed.output
        if "pip install" not in command:  # it may warn of what is special about an index of packages
            assert comparable(completed.output) == comparable(shown)
    listed = terminal.type("bin/medserver manual").output
    assert [line.split()[0] for line in listed.splitlines()] == list(MANUAL)
    terminal.close()


def test_the_examples_are_found() -> None:
    found = [example for text in (README, *MANUAL.values()) for example in examples(parse(text))]
    words = {word for example in found for word in shlex.split(example.command)}
    tools = {"echoscu", "storescu", "findscu", "storescp", "movescu", "getscu"}
    assert {"scripts/serve", "medserver", *tools} <= words
    assert [example.fails for example in found].count(True) == 2


def test_every_topic_of_the_manual_is_named_with_its_title() -> None:
    rows = re.findall(r"^``(\w+)``  +(.*)$", DOCUMENTATION.partition("\nThe manual\n")[2], re.MULTILINE)
    titles = [(topic, text.splitlines()[0]) for topic, text in MANUAL.items()]
    assert sorted(rows[: len(titles)]) == titles


def test_nothing_is_announced() -> None:
    assert re.findall(r"not there yet|no TLS\s+yet|planned|to be done|TODO", DOCUMENTATION) == []


def test_the_two_commands_exist() -> None:
    for name in ("scripts/serve", "scripts/test", "scripts/environment"):
        assert name in DOCUMENTATION
        assert os.access(REPOSITORY / name, os.X_OK)


def test_every_subcommand_is_mentioned_and_no_other() -> None:
    mentioned = set(re.findall(r"(?:``|\$ )medserver (?:--\S+ \S+ )*([a-z]+)", DOCUMENTATION))
    names = {name for name, _ in SUBCOMMANDS}
    assert mentioned <= names
    assert names <= mentioned


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"``((?:services|archive|wire|dicom|tests)/[a-z_/]+\.py)``", DOCUMENTATION))
    assert len(named) > 5
    for name in named:
        assert (REPOSITORY / name).exists() or (REPOSITORY / "medserver" / name).exists(), name


def test_the_examples_of_rules_are_right() -> None:
    shipped = (REPOSITORY / "config.ini").read_text()
    blocks = [block for text in (README, *MANUAL.values()) for block in parse(text).findall(nodes.literal_block)]
    blocks = [block.astext() for block in blocks if "ini" in block["classes"]]
    kinds = ("[route ", "[poll ", "[processing ", "[retention ", "[issuer ")
    blocks = [text for text in blocks if text.startswith(kinds)]
    config = read_config("\n".join([shipped, *blocks]), base=REPOSITORY).config
    assert config.routes
    assert config.polls
    assert config.processings and list(problems_of(config)) == []
    assert config.retentions
    assert config.issuers
