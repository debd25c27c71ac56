"""A scratch clone of the project, in which mutants are applied and the tests that concern them run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant, MutantIsGone, write_module
from tests.mutants.selection import concerned_files
from tests.peers.process import wait_until

TEST_TIMEOUT_S = 120
"""A test that takes longer hangs."""

PORTION = 3
"""How many files the first pytest of a mutant is given: it imports all of them before it runs one."""

_FAILED = re.compile(r"^(tests/\S+\.py::.*) (?:FAILED|ERROR)$|^ERROR (tests/\S+\.py)\b", re.MULTILINE)
_RAN = re.compile(r"^(tests/\S+?\.py)::", re.MULTILINE)
_BEGUN = re.compile(r"^(tests/\S+\.py::.*?) (?=\w*$)", re.MULTILINE)
_HANG = "Timeout (0:"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said of a mutant.

    Parameters
    ----------
    outcome : str
        'caught', 'hangs' (caught too), 'survived', or 'gone'; within the runs also 'late'.
    test : str
        Which test caught it.
    reason : str
        The error of that test.
    not_run : list of str
        The files that concern it for which no time was left.
    seconds : float
        How long it took.
    """

    outcome: str
    test: str = ""
    reason: str = ""
    not_run: tuple[str, ...] = ()
    seconds: float = 0


class Scratch:
    """A checkout for faults. A test that fails there without any fault catches none, and is left out from then on.

    Parameters
    ----------
    checkout : Path
        A clone that nobody else uses, with its environment; a log and temporary files are made beside it.
    limit_s : float
        How long the tests of one mutant may take.
    """

    def __init__(self, checkout: Path, limit_s: float) -> None:
        self.checkout = checkout
        self.failing: list[str] = []
        self._limit_s = limit_s
        self._temporary = checkout.parent / "tmp"

    def try_out(self, mutant: Mutant, first: Sequence[str] = (), only: Sequence[str] = ()) -> Verdict:
        """Run the tests that concern a mutant, or only some of them, until one fails; the module is restored."""
        begun = time.monotonic()
        try:
            path = mutant.apply(self.checkout)
        except MutantIsGone as gone:
            return Verdict("gone", reason=str(gone))
        files = list(only) or concerned_files(self.checkout, mutant, first)
        try:
            outcome, test, reason, not_run = self._run_files(files, path, begun + self._limit_s)
        finally:
            self._restore(path)
        return Verdict(outcome, test, reason, tuple(not_run), round(time.monotonic() - begun))

    def _run_files(self, files: list[str], path: Path, end: float) -> tuple[str, str, str, list[str]]:
        """Run files in portions, small ones first; return outcome, test, reason, and the files that did not run."""
        mutated = path.read_text()
        count = PORTION
        while files:
            outcome, test, reason, begun = self._pytest(files[:count], end - time.monotonic())
            if outcome == "late":
                return "survived", "", "", [file for file in files if file not in begun[:-1]]
            if outcome == "survived":
                files, count = files[count:], count * 3
                continue
            self._restore(path)
            if self._pytest([test], TEST_TIMEOUT_S)[0] == "survived":
                return outcome, test, reason, []
            self.failing.append(test)
            write_module(path, mutated)
            files = files[files.index(test.partition("::")[0]) :]
        return "survived", "", "", []

    def _restore(self, path: Path) -> None:
        _run(["git", "checkout", "--quiet", "--", path], self.checkout)
        write_module(path, path.read_text())

    def _pytest(self, targets: list[str], limit_s: float) -> tuple[str, str, str, list[str]]:
        """Run tests until one fails; return what `read_output` does."""
        if self._temporary.exists():
            shutil.rmtree(self._temporary)
        self._temporary.mkdir()
        self._temporary.chmod(0o755)  # the user postgres has its folder there
        command = [
            self.checkout / ".venv/bin/python", "-m", "pytest", *pytest_options(TEST_TIMEOUT_S),
            *[f"--deselect={test}" for test in self.failing], *targets,
        ]  # fmt: skip
        environment = os.environ | {"TMPDIR": str(self._temporary), "COLUMNS": "1000"}
        with (self.checkout.parent / "pytest.log").open("w+") as log:
            process = subprocess.Popen(
                list(map(str, command)), cwd=self.checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                process.wait(max(limit_s, 1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            finally:
                wait_until(lambda: not self._kill_processes(), what="the end of what the tests started")
                self._unmount()
            log.seek(0)
            return read_output(log.read(), process.returncode)

    def _kill_processes(self) -> bool:
        """Kill the nodes and peers that an interrupted test left; return whether there were any.

        Those are all processes with our temporary folder.
        """
        mark = f"TMPDIR={self._temporary}\0".encode()
        found = False
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environment.read_bytes() + b"\0":
                    os.kill(int(environment.parent.name), signal.SIGKILL)
                    found = True
            except OSError:  # it ended, or it is another user's
                continue
        return found

    def _unmount(self) -> None:
        """Take away the small disks that an interrupted test left."""
        for line in Path("/proc/mounts").read_text().splitlines():
            if (where := line.split()[1]).startswith(f"{self._temporary}/"):
                _run(["umount", "--lazy", where], self.checkout)


def pytest_options(timeout_s: float) -> list[str]:
    """Return the options of pytest with which `read_output` understands what it says."""
    return [
        "-x", "-v", "-n", "0", "-rfE", "--tb=line", "-p", "no:cacheprovider", "--hypothesis-seed=0",
        "-o", "console_output_style=classic",
        "-o", f"faulthandler_timeout={timeout_s}", "-o", "faulthandler_exit_on_timeout=true",
    ]  # fmt: skip


def read_output(output: str, returncode: int) -> tuple[str, str, str, list[str]]:
    """Return the outcome of a run, the test that failed, why, and the files that began."""
    ran = list(dict.fromkeys(_RAN.findall(output)))
    if returncode in (0, 5):
        return "survived", "", "", ran
    if match := _FAILED.search(output):
        test = match[1] or match[2]
        reason = re.search(rf"^(?:FAILED|ERROR) {re.escape(test)} - (.*)$", output, re.MULTILINE)
        return "caught", test, reason[1] if reason else "", ran
    if returncode == -signal.SIGKILL:
        return "late", "", "", ran
    begun = _BEGUN.findall(output.partition(_HANG)[0])
    if begun:
        return ("hangs" if _HANG in output else "caught"), begun[-1], f"pytest ended with {returncode}", ran
    raise RuntimeError(f"pytest ended with {returncode}:\n{output[-3000:]}")


def _run(command: list[object], folder: Path) -> None:
    subprocess.run(list(map(str, command)), cwd=folder, check=True, stdin=subprocess.DEVNULL)


def clone(folder: Path, commit: str) -> Path:
    """Clone this repository into a folder, or take over the clone of a campaign before; return the checkout."""
    checkout = folder / "medserver"
    if not checkout.exists():
        _run(["git", "clone", "--quiet", Path(__file__).parents[2], checkout], folder)
    _run(["git", "fetch", "--quiet", "origin"], checkout)
    _run(["git", "checkout", "--quiet", "--force", "--detach", commit], checkout)
    _run(["scripts/environment", "test,postgres,s3,codecs,imaging"], checkout)
    return checkout


def scratch_folder() -> Path:
    """Make a folder for a clone; its name is short, since the path of a Unix socket may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    folder.chmod(0o755)  # the user postgres has its folder there
    return folder
