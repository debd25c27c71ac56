"""The faults that scripts/mutants puts into the product: which there are, where they are found again, what ran says."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.mutants.choice import CORE, choose, find_candidates, package_of
from tests.mutants.mutant import Mutant, MutantIsGone
from tests.mutants.operators import mutants_of
from tests.mutants.selection import FOLDERS, concerned_files
from tests.mutants.trial import Scratch, pytest_options, read_output
from tests.peers.node import REPOSITORY

SEED = 7
COUNT = 40


def changes_of(*body: str) -> set[tuple[str, str]]:
    """Return operator and changed lines of every mutant of a function with that body."""
    source = "\n".join(["def f(a, b):", *[f"    {line}" for line in body], ""])
    return {(mutant.operator, mutant.after.strip()) for mutant in mutants_of("medserver/x.py", source)}


@pytest.fixture(scope="module")
def candidates() -> dict[str, list[Mutant]]:
    return find_candidates(REPOSITORY)


@pytest.fixture(scope="module")
def chosen(candidates: dict[str, list[Mutant]]) -> list[Mutant]:
    return choose(candidates, SEED, COUNT)


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("x = a < b", {("comparison changed", "x = a <= b")}),
        ("x = a is None", {("comparison changed", "x = a is not None")}),
        ("x = a not in b", {("comparison changed", "x = a in b")}),
        ("x = (a) or (b)", {("and/or exchanged", "x = (a) and (b)")}),
        ("x = a - b", {("arithmetic exchanged", "x = a + b")}),
        ("x = 'é' if a else b", {("condition negated", "x = 'é' if (not (a)) else b")}),
        ("x = [c for c in a if not c]", {("condition negated", "x = [c for c in a if c]")}),
        ("x = a[1]", {("constant changed", "x = a[2]"), ("constant changed", "x = a[0]")}),
        ("a.close()", {("call removed", "pass")}),
        ("raise ValueError(a + b)", {("raise removed", "pass")}),
        ("return True", {("return value changed", "return False")}),
        ("return a", {("return value changed", "return None")}),
        (
            "x = 'SELECT path FROM t WHERE a < ? AND b'",
            {
                ("SQL changed", "x = 'SELECT path FROM t WHERE a <= ? AND b'"),
                ("SQL changed", "x = 'SELECT path FROM t WHERE a < ? OR b'"),
            },
        ),
    ],
)
def test_faults_of_a_line(line: str, after: set[tuple[str, str]]) -> None:
    assert changes_of(line) == after


@pytest.mark.parametrize(
    "line",
    [
        "'''Return a < b.'''",
        "x: int | None = a",
        "logger.info('%s', a + b)",
        "x = isinstance(a, int | str)",
        "x = a.wait(timeout=2)",
        "x = f'{a + 1} < {b}'",
        "x = 4096",
        "crash_point('object placed')",
        "return None",
    ],
)
def test_lines_without_a_fault_that_a_test_could_see(line: str) -> None:
    assert changes_of(line) == set()


def test_break_and_continue_are_exchanged() -> None:
    assert changes_of("for c in a:", "    continue") == {("continue/break exchanged", "break")}


def test_values_of_generators_stay() -> None:
    assert changes_of("yield a", "return b") == set()


def test_a_seed_chooses_the_same_mutants_half_of_them_in_the_core(candidates, chosen: list[Mutant]) -> None:
    assert chosen == choose(candidates, SEED, COUNT)
    assert chosen[:5] != choose(candidates, SEED + 1, 5)
    assert Counter(package_of(mutant.file) in CORE for mutant in chosen) == {True: COUNT // 2, False: COUNT // 2}
    assert len({(mutant.file, mutant.function) for mutant in chosen}) == COUNT
    assert len({mutant.operator for mutant in chosen}) >= 7


def test_a_mutant_changes_its_lines_and_nothing_else(chosen: list[Mutant], tmp_path: Path) -> None:
    for mutant in chosen:
        path = copy_module(mutant.file, tmp_path)
        before = path.read_text().splitlines(keepends=True)
        assert mutant.apply(tmp_path) == path
        ast.parse(path.read_text())
        start, end = mutant.line_number - 1, mutant.line_number - 1 + len(mutant.before.splitlines())
        assert "".join(before[start:end]) == mutant.before != mutant.after
        assert path.read_text() == "".join([*before[:start], mutant.after, *before[end:]])


def copy_module(file: str, checkout: Path) -> Path:
    path = checkout / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((REPOSITORY / file).read_text())
    return path


SOURCE = "class C:\n    def f(self, a):\n        if a:\n            a += 1\n        if a:\n            return\n"


@pytest.fixture
def second_condition() -> Mutant:
    found = [mutant for mutant in mutants_of("medserver/one.py", SOURCE) if mutant.operator == "condition negated"]
    assert [mutant.occurrence for mutant in found] == [0, 1]
    return found[1]


@pytest.mark.parametrize("file", ["medserver/one.py", "medserver/folder/two.py"])
def test_a_mutant_is_found_again_where_its_function_moved(tmp_path: Path, second_condition: Mutant, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text("import os\n\n\n" + SOURCE)
    assert second_condition.apply(tmp_path) == path
    assert path.read_text().splitlines()[7:] == ["        if (not (a)):", "            return"]


def test_a_mutant_whose_lines_went_is_gone(tmp_path: Path, second_condition: Mutant) -> None:
    (tmp_path / "medserver").mkdir()
    (tmp_path / "medserver" / "one.py").write_text(SOURCE.replace("if a:\n            return", "return"))
    with pytest.raises(MutantIsGone, match="one.py C.f"):
        second_condition.apply(tmp_path)


def test_a_mutant_outlives_json(second_condition: Mutant) -> None:
    assert Mutant(**asdict(second_condition)) == second_condition


def test_every_package_has_its_tests() -> None:
    packages = {path.name for path in (REPOSITORY / "medserver").iterdir() if (path / "__init__.py").exists()}
    assert packages - {"conformance"} == set(FOLDERS) - {""}
    folders = {folder for folders in FOLDERS.values() for folder in folders.split()}
    assert [folder for folder in sorted(folders) if not (REPOSITORY / "tests" / folder).is_dir()] == []


def test_files_that_name_the_fault_are_first(second_condition: Mutant) -> None:
    mutant = replace(second_condition, file="medserver/wire/watcher.py", function="Watcher.take")
    files = concerned_files(REPOSITORY, mutant)
    assert files[0] == "tests/wire/test_watcher.py"
    assert {Path(file).parts[1] for file in files} == set(FOLDERS["wire"].split())
    last = files[-1]
    assert concerned_files(REPOSITORY, mutant, first=[last]) == [last, *files[:-1]]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("assert True", ("survived", "", "")),
        ("assert 1 == 2", ("caught", "tests/test_x.py::test[a - b]", "assert 1 == 2")),
        ("while True: pass", ("hangs", "tests/test_x.py::test[a - b]", "pytest ended with 1")),
        ("import os; os._exit(9)", ("caught", "tests/test_x.py::test[a - b]", "pytest ended with 9")),
    ],
)
def test_what_pytest_says_is_understood(tmp_path: Path, body: str, outcome: tuple[str, str, str]) -> None:
    file = tmp_path / "tests" / "test_x.py"
    file.parent.mkdir()
    file.write_text(f"import pytest\n@pytest.mark.parametrize('x', ['a - b'])\ndef test(x):\n    {body}\n")
    assert run_pytest(tmp_path) == (*outcome, ["tests/test_x.py"])


def test_a_module_that_cannot_be_imported_is_caught(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text("import no_such_module\n")
    assert run_pytest(tmp_path)[:2] == ("caught", "tests/test_x.py")


def run_pytest(folder: Path) -> tuple[str, str, str, list[str]]:
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", *pytest_options(1), "tests/test_x.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return read_output(completed.stdout + completed.stderr, completed.returncode)


def test_a_killed_run_was_late_unless_a_test_had_failed() -> None:
    output = "tests/x/test_a.py::test_a PASSED\ntests/x/test_b.py::test_b "
    files = ["tests/x/test_a.py", "tests/x/test_b.py"]
    assert read_output(output, -signal.SIGKILL) == ("late", "", "", files)
    output += "FAILED\n"  # and then its threads did not end
    assert read_output(output, -signal.SIGKILL) == ("caught", "tests/x/test_b.py::test_b", "", files)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with one module, and tests of which one fails and one sees the second condition."""
    checkout = tmp_path / "project"
    (checkout / "medserver").mkdir(parents=True)
    (checkout / "medserver" / "__init__.py").touch()  # or a whole package on PYTHONPATH would be found before it
    (checkout / "medserver" / "one.py").write_text(SOURCE)
    tests = checkout / "tests" / "store"
    tests.mkdir(parents=True)
    (tests / "test_one.py").write_text(
        "from medserver.one import C\ndef test_broken():\n    assert False\ndef test_called():\n    C().f(0)\n"
    )
    (checkout / ".venv").symlink_to(sys.prefix)
    for command in (["init", "--quiet"], ["add", "medserver"]):  # what is in git's index is what comes back
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return checkout


def test_a_test_that_fails_anyway_catches_nothing(project: Path, second_condition: Mutant) -> None:
    scratch = Scratch(project, limit_s=60)
    verdict = scratch.try_out(second_condition)
    assert (verdict.outcome, verdict.test, verdict.not_run) == ("survived", "", ())
    assert scratch.failing == ["tests/store/test_one.py::test_broken"]
    assert (project / "medserver" / "one.py").read_text() == SOURCE


def test_a_fault_is_caught_and_removed(project: Path, second_condition: Mutant) -> None:
    mutant = replace(second_condition, after="        raise ValueError(a)\n        if a:\n")
    verdict = Scratch(project, limit_s=60).try_out(mutant)
    assert (verdict.outcome, verdict.test) == ("caught", "tests/store/test_one.py::test_called")
    assert verdict.reason.startswith("ValueError")
    assert (project / "medserver" / "one.py").read_text() == SOURCE


def test_files_without_time_are_named(project: Path, second_condition: Mutant) -> None:
    (project / "tests" / "store" / "test_one.py").write_text("def test():\n    while True: pass\n")
    verdict = Scratch(project, limit_s=3).try_out(second_condition)
    assert (verdict.outcome, verdict.not_run) == ("survived", ("tests/store/test_one.py",))
