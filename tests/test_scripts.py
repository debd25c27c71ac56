"""The programs of scripts/ that measure and compare: short runs of the real thing."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medserver.cli.manual import pages
from scripts.benchmarks import report
from scripts.benchmarks.__main__ import chosen
from scripts.benchmarks.__main__ import main as bench
from scripts.benchmarks.cell import Cell, Requirement
from scripts.benchmarks.cells import CELLS
from scripts.benchmarks.report import Outcome
from tests.conftest import LONG_FILES
from tests.peers import requires
from tests.peers.node import REPOSITORY
from tests.peers.process import Server, wait_until

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))}
BENCH = [sys.executable, "-m", "scripts.benchmarks", "--quick"]


def test_every_script_that_the_documentation_names_is_there() -> None:
    documentation = "\n".join([(REPOSITORY / "README.rst").read_text(), *pages().values()])
    named = set(re.findall(r"scripts/[a-z_]+(?![a-z_./])", documentation))
    assert {"scripts/serve", "scripts/test", "scripts/bench", "scripts/flips"} <= named
    assert [name for name in sorted(named) if not os.access(REPOSITORY / name, os.X_OK)] == []


def test_the_files_that_go_first_are_there() -> None:
    assert [name for name in LONG_FILES if not (REPOSITORY / "tests" / name).is_file()] == []


def run(arguments: list[object], timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, arguments)),
        cwd=REPOSITORY,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def processes_about(folder: Path) -> list[str]:
    """Return the command lines that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


def measured(cell: Cell, **values: list[float]) -> Outcome:
    outcome = Outcome(cell)
    outcome.values.update(values)
    return outcome


# -- scripts/bench: what it says ----------------------------------------------------------------------------


def test_rates_are_compared_with_the_peer() -> None:
    cell = Cell("x", "X", "images/s", ("medserver", "Orthanc"), (Requirement(1.2, 2.0, "Orthanc"),))
    met = measured(cell, medserver=[1.0, 300.0, 150.0], Orthanc=[100.0, 90.0, 4000.0])
    assert met.compared(cell.requirements[0]) == 1.5
    assert met.floors_met
    assert not met.meets(cell.requirements[0], 2.0)
    assert not measured(cell, medserver=[119.0], Orthanc=[100.0]).floors_met


def test_values_without_a_peer_must_not_exceed() -> None:
    cell = Cell("x", "X", "ms", ("medserver",), (Requirement(0.5, 0.2),))
    assert measured(cell, medserver=[0.5]).floors_met
    assert not measured(cell, medserver=[0.51]).floors_met
    assert measured(cell, medserver=[0.1]).meets(cell.requirements[0], 0.2)


def test_table_has_a_line_for_each_requirement() -> None:
    cell = Cell(
        "x",
        "C-STORE",
        "images/s",
        ("medserver", "Orthanc", "storescp"),
        (Requirement(1.2, 2.0, "Orthanc"), Requirement(0.4, 1.0, "storescp")),
    )
    lines = report.table([measured(cell, medserver=[300.0], Orthanc=[100.0], storescp=[1000.0])]).splitlines()
    assert lines[2].split()[:5] == ["C-STORE", "images/s", "300", "100", "1,000"]
    assert lines[2].split()[-8:] == ["3.00", "x", "1.2", "x", "met", "2", "x", "met"]
    assert lines[3].split()[-9:] == "storescp 0.30 x 0.4 x NOT MET 1 x NOT MET".split()[-9:]


def test_every_requirement_has_a_cell() -> None:
    bounds = {(row.peer, row.floor, row.goal) for cell in CELLS for row in cell.requirements}
    assert bounds == {
        ("Orthanc", 1.2, 2.0),
        ("storescp", 0.4, 1.0),
        ("Orthanc", 0.8, 1.5),
        ("Orthanc", 0.5, 1.5),
        ("sha256sum", 0.5, 1.0),
        ("cp", 0.5, 1.0),
        ("without replica", 0.8, 0.95),
        ("gdcmconv", 0.9, 1.3),
        ("gdcmconv", 1.3, 2.0),
        ("gdcmconv", 8.0, 12.0),
        ("uncompressed", 1.8, 2.2),
        ("uncompressed of that size", 0.9, 1.0),
        ("Orthanc", 1.6, 2.0),
        ("Orthanc", 20.0, 40.0),
        (None, 100, 50),
        (None, 250, 100),
        (None, 0.5, 0.2),
        (None, 15, 5),
        (None, 1.5, 1.0),
        (None, 300, 200),
        (None, 33.3, 20),
        (None, 60, 30),
        (None, 1.5, 0.75),
        (None, 6.0, 3.0),
        (None, 600, 400),
        ("Orthanc", 1.5, 2.0),
        ("Orthanc", 1.2, 1.5),
        ("in the clear", 0.6, 0.8),
        (None, 250, 50),
        ("numpy script", 0.8, 1.0),
        (None, 64, 16),
    }
    assert all(peer.peer in (None, *cell.candidates) for cell in CELLS for peer in cell.requirements)


def test_candidates_take_turns_in_being_first() -> None:
    cell = next(cell for cell in CELLS if cell.name == "store-ct-1")
    assert cell.candidates_in(1)[0] != cell.candidates_in(2)[0]
    assert "dcmqrscp" in cell.candidates_in(1) and "dcmqrscp" not in cell.candidates_in(2)
    assert set(cell.candidates_in(3)) == {"medserver", "Orthanc", "storescp"}


def test_cells_are_chosen_by_name_or_beginning() -> None:
    assert chosen(None) == list(CELLS)
    assert [cell.name for cell in chosen("echo,get")] == ["get-j2k", "get-ct", "get-mr", "echo"]
    with pytest.raises(ValueError, match="no cell 'ech'"):
        chosen("ech")


# -- scripts/bench: what it does ----------------------------------------------------------------------------


def test_bench_measures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Slow: each stage starts its own servers, and Orthanc is not started in a second."""
    requires("dcmtk", "orthanc")
    folder, document = tmp_path / "stores", tmp_path / "bench.json"
    folder.mkdir()
    cells = "store-mr-4,move-mr,find,echo,idle,large"
    completed = run([*BENCH, "--cells", cells, "--json", document, "--folder", folder])
    assert completed.returncode in (0, 1), completed.stderr
    told = json.loads(document.read_text())
    assert completed.returncode == (0 if told["floors_met"] else 1)
    assert [cell["name"] for cell in told["cells"]] == [cell.name for cell in chosen(cells)]
    for cell in told["cells"]:
        assert cell["title"] in completed.stdout
        assert all(len(values) == told["rounds"] == 1 for values in cell["values"].values())
    rates = [cell for cell in told["cells"] if cell["unit"].endswith("/s")]
    assert len(rates) == 3
    assert all(value > 10 for cell in rates for value in cell["medians"].values())
    assert list(folder.iterdir()) == []
    assert processes_about(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_bench_leaves_nothing_behind_when_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    requires("dcmtk", "orthanc")
    folder = tmp_path / "stores"
    folder.mkdir()
    command = [*BENCH, "--rounds", 1000, "--cells", "store-mr-1", "--folder", folder]
    command = list(map(str, command))
    program = Server(command, log=tmp_path / "log", environment=ENVIRONMENT, directory=REPOSITORY)
    try:
        program.wait_for_line("round 1/1000 .* Orthanc", deadline_s=60)
        program.process.send_signal(number)
        assert program.process.wait(60) == 128 + number
    finally:
        program.kill()
    assert list(folder.iterdir()) == []
    wait_until(lambda: not processes_about(folder), what="the end of all servers")


def test_unknown_cell_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/bench", "--cells", "telepathy"])
    with pytest.raises(SystemExit) as ended:
        bench()
    assert ended.value.code == 2
    assert "no cell 'telepathy'" in capsys.readouterr().err


def test_bench_of_the_index(tmp_path: Path) -> None:
    completed = run([sys.executable, REPOSITORY / "scripts" / "bench_index", "--studies", 200])
    assert completed.returncode == 0, completed.stderr
    assert "200 studies, 2,000 instances" in completed.stdout


def test_bench_of_the_migration(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "scripts" / "bench_migration", "--instances", 2000, "--folder", tmp_path]
    completed = run(command)
    assert completed.returncode == 0, completed.stderr
    assert "instances=2000" in completed.stdout and "migrated in" in completed.stdout


# -- campaigns ----------------------------------------------------------------------------------------------

CAMPAIGNS = {
    ("crash", "3", "--seed", "7"): r"seed 7\n(\rkill [123]: [1-9][0-9]* instances acknowledged, all there){3}\n",
    ("crash", "1", "--worker", "--seed", "7"): r"seed 7\n\rkill 4: [1-9][0-9]* instances acknowledged, all there\n",
    ("deliveries", "30", "--seed", "7"): r"(?s)seed 7\n.*all 30 at all 5: .*, [0-9]+ sent again\n",
    ("flips", "10", "--seed", "7"): r"seed 7\n\r10 flips, [1-9] copies repaired in this round\n",
    ("memory", "move", "--count", "20"): r"move 20: [0-9]+ MB\n",
    ("processing", "10", "--kills", "3", "--seed", "7"):
        r"(?s)seed 7\n.*all 10 items completed, [0-9]+ outputs, each once, [0-9]+ sent again; .*[0-9]+ s\n",
    ("pixels", "20", "--seed", "7"): r"seed 7\n(\w+: [0-9]+ equal, [0-9]+ refused as .*\n){5}20 images, none wrong\n",
}
"""Short ones, and what they print."""


@pytest.mark.parametrize("command", CAMPAIGNS, ids=" ".join)
def test_campaigns(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command[0] in ("deliveries", "memory", "pixels"):
        requires("dcmtk")
    if command[0] == "pixels":
        requires("gdcm", "openjpeg")
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    call_campaign(monkeypatch, *command)
    assert re.fullmatch(CAMPAIGNS[command], capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted({name for name, *_ in CAMPAIGNS}))
def test_campaigns_say_how_they_are_called(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_campaign(monkeypatch, name, "--help")
    assert ended.value.code == 0
    assert f"    scripts/{name} " in capsys.readouterr().out


def call_campaign(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    """Call what a script calls, in this process."""
    [package] = re.findall(r'python -m (\S+) "\$@"', (REPOSITORY / "scripts" / name).read_text())
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    importlib.import_module(f"{package}.__main__").main()


# -- scripts/pynetdicom_tests -------------------------------------------------------------------------------


def test_the_suite_of_pynetdicom_holds_for_what_is_used_of_it() -> None:
    """Slow: 630 tests."""
    script = (REPOSITORY / "scripts" / "pynetdicom_tests").read_text()
    options = script.partition("-m pytest ")[2].partition("--pyargs")[0].replace("\\\n", " ").split()
    [names] = re.findall(r"names=\((.*)\)", script)
    [selection] = re.findall('-k "(.*?)"', script)
    modules = [f"pynetdicom.tests.test_{name}" for name in names.split()]
    assert {"pynetdicom.tests.test_pdu", "pynetdicom.tests.test_primitives"} <= set(modules)
    completed = run([sys.executable, "-m", "pytest", *options, "-q", "--pyargs", *modules, "-k", selection])
    assert completed.returncode == 0, completed.stdout
    assert re.search(r"^[0-9]{3} passed", completed.stdout, re.MULTILINE), completed.stdout
