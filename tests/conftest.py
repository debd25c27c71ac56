"""Fixtures: the peers, a database server, and the node as a process.

How a new test is made quick:

1. The command line is called in the process of the test: `node.cli(...)`, `command_line.invoke(...)`; 10 ms and not the
   start of Python. `node.program(...)` where the process is the point: signals, locks, permissions, pipes, entry point.
2. A node of its own (`make_node`) only where the test changes it. Else one for the module, and each test has its own
   patients and UIDs; or no process at all: `open_archive` with a `clock` that the test sets, and a `Runner`.
3. Nobody sleeps: `wait_until` waits for what the test is about, and looks at it in this process (`node.cli`), not with
   a program for each look (findscu, getscu): those ask once, at the end.
4. Kills, random walks and large numbers have a short form here, and the long one in a script with a seed and a count.
5. A program is started through `tests.peers` only: `scripts/test --quick` leaves out all that does, and needs no list.
6. Files are dealt out whole: one that takes minutes is named in `LONG_FILES`, and better in two.
7. The end of a run shows the 20 slowest. A test above 15 s says in its docstring why, behind `SLOW_REASON`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clock import Clock
from tests.peers import QUICK_OPTION, requires, set_quick_run, starts_programs
from tests.peers.dcmtk import Dcmtk
from tests.peers.gdcm import Gdcm
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc

if TYPE_CHECKING:
    from tests.index.cluster import Cluster

# Containers often forbid Python to write byte code: each program that a test starts would compile all of medserver
# anew, which takes longer than anything else that a command does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

NodeFactory = Callable[..., Node]
MakeDirectory = Callable[[str], Path]

SLOW_S = 15.0
SLOW_REASON = "Slow: "

LONG_FILES = (
    "life/test_pairs.py", "life/test_crash.py", "processing/test_reformat.py", "processing/test_meanwhile.py",
    "migration/test_interrupted.py", "retention/test_node.py", "retention/test_rules.py", "processing/test_sharing.py",
    "processing/test_requesting.py", "crash/power/test_campaign.py", "crash/test_deletion.py", "attacks/test_clock.py",
)  # fmt: skip
"""Files that take longest, each on one of the workers: they go first, so that none of them ends alone."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(QUICK_OPTION, action="store_true", help="only tests that start no peers, servers and nodes")


def pytest_configure(config: pytest.Config) -> None:
    set_quick_run(is_quick := config.getoption(QUICK_OPTION))
    if is_quick:  # what it leaves out is counted, not listed
        config.option.reportchars = config.option.reportchars.replace("s", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {Path(__file__).parent / file: rank for rank, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.lacks_reason = report.duration > SLOW_S and SLOW_REASON not in (item.function.__doc__ or "")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what is slow and does not say why. It fails nothing: on a busy machine everything is slow."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    slow = [report for report in reports if getattr(report, "lacks_reason", False)]
    if slow:
        terminalreporter.section(f"more than {SLOW_S:g} s, with no {SLOW_REASON!r} in the docstring")
    for report in sorted(slow, key=lambda report: report.duration, reverse=True):
        terminalreporter.line(f"{report.duration:.1f} s {report.when} {report.nodeid}")


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands until the test sets it."""
    return Clock()


@pytest.fixture(scope="module")
def make_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeDirectory]:
    """Give a function that makes folders, by name; they are deleted after the last test of the file."""
    with ExitStack() as directories:

        def make(name: str) -> Path:
            directory = tmp_path_factory.mktemp(name)
            directories.callback(shutil.rmtree, directory)
            return directory

        yield make


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give a running PostgreSQL."""
    from tests.index.cluster import Cluster, find_programs

    starts_programs()
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing")
        pytest.skip("PostgreSQL is missing (Debian package postgresql)")
    server = Cluster(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def new_database(cluster: Cluster) -> Iterator[Callable[..., str]]:
    """Give a function that creates a database with an empty index, and returns its URL; `has_schema=False` for one that
    has nothing at all. It goes after the last test of the file.
    """
    with ExitStack() as databases:

        def create(*, has_schema: bool = True) -> str:
            url = cluster.new_database(has_schema=has_schema)
            databases.callback(cluster.drop_database, url)
            return url

        yield create


@pytest.fixture
def dcmtk(tmp_path: Path) -> Iterator[Dcmtk]:
    """Give the programs of DCMTK; servers started from them end with the test."""
    requires("dcmtk")
    directory = tmp_path / "dcmtk"
    directory.mkdir()
    programs = Dcmtk(directory)
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def orthanc(make_directory: MakeDirectory) -> Iterator[Orthanc]:
    """Give an Orthanc that runs for the tests of one file: what one stores is there for the next."""
    requires("orthanc")
    running = Orthanc(make_directory("orthanc"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.server.kill()


@pytest.fixture
def gdcm() -> Gdcm:
    """Give the client of GDCM."""
    requires("gdcm")
    return Gdcm()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[NodeFactory]:
    """Give a function that makes a `Node`, not started. Its log is shown when the test fails."""
    with ExitStack() as nodes:

        def make(**arguments: object) -> Node:
            directory = tmp_path / f"node-{len(list(tmp_path.glob('node-*')))}"
            directory.mkdir()
            node = Node(directory, **arguments)
            nodes.callback(lambda: sys.stdout.write(node.output))
            nodes.callback(node.kill)
            return node

        yield make


@pytest.fixture
def node(make_node: NodeFactory) -> Node:
    """Give a running node that lets the DCMTK and GDCM programs in."""
    return make_node().start()
