"""Programs that run under the supervisor: how each ends, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medserver.config import CommandType, read_config
from medserver.errors import CommandFailed, MedserverError, TooLargeToProcess, WorkStopped
from medserver.processing.commands.execution import Ended, check_end, execute
from medserver.processing.commands.invocation import Place, invocation
from tests.peers.proc import is_alive, parent_of
from tests.peers.process import wait_until
from tests.processing.commands import programs

MIB = 2**20


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give the folders of a program."""
    found = Place(tmp_path / "in", tmp_path / "out", tmp_path / "work")
    for folder in (found.inputs, found.outputs, found.work, tmp_path / "pids"):
        folder.mkdir()
    return found


def entry(program: Path, **limits: object) -> CommandType:
    config = read_config(f"[type x]\ncommand = {program} {{in}} {{out}}\n", base=program.parent).config
    return replace(config.types[0], environment=(("PIDS", str(program.parent / "pids")),), **limits)


def run(place: Place, text: str, unless: Callable[[], bool] = lambda: False, **limits: object) -> Ended:
    one = entry(programs.write(place.work.parent, "program", text), **limits)
    ended = execute(one, invocation(one, place, {}, "none"), place, unless)
    check_end(one, ended)
    return ended


def pids(place: Place) -> list[int]:
    """Return the processes that the program says it has."""
    return [int(path.name) for path in (place.work.parent / "pids").iterdir()]


def test_what_a_program_is_given(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    says = """
import json, os, resource, sys
names = ("AS", "CORE", "FSIZE", "NOFILE", "CPU")
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}
print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), sys.stdin.read(), os.getsid(0) == os.getpid(), limits,
    len(os.sched_getaffinity(0)), sorted(os.listdir("/proc/self/fd"))]))
"""
    ended = run(place, says, memory_max_bytes=512 * MIB, output_max_bytes=7 * MIB, time_max_s=50.0)
    arguments, environment, folder, read, leads, limits, cpus, files = json.loads(ended.output)
    assert arguments == [str(place.inputs), str(place.outputs)]
    assert (folder, read, leads, cpus) == (str(place.work), "", True, 1)
    assert environment.pop("PIDS")
    environment.pop("LC_CTYPE", None)  # which Python sets itself
    assert environment == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        **dict.fromkeys(("MERCURE_IN_DIR", "MONAI_INPUTPATH", "HOLOSCAN_INPUT_PATH"), str(place.inputs)),
        **dict.fromkeys(("MERCURE_OUT_DIR", "MONAI_OUTPUTPATH", "HOLOSCAN_OUTPUT_PATH"), str(place.outputs)),
        **dict.fromkeys(("MONAI_WORKDIR", "HOLOSCAN_WORKDIR", "HOME", "TMPDIR"), str(place.work)),
    }  # fmt: skip
    assert limits["AS"] == [512 * MIB] * 2 and limits["CORE"] == [0, 0] and limits["FSIZE"] == [7 * MIB] * 2
    assert limits["NOFILE"] == [1024] * 2 and limits["CPU"] == [51] * 2
    assert files in (["0", "1", "2", "3"], ["0", "1", "2"])


@pytest.mark.parametrize(
    ("text", "limits", "situation", "message"),
    [
        (programs.HANG, {"time_max_s": 0.5}, TooLargeToProcess, "x took more than 0.5 s"),
        (programs.FORK, {"time_max_s": 1.5}, TooLargeToProcess, "x took more than 1.5 s"),
        ("while True: pass", {"time_max_s": 0.5}, TooLargeToProcess, "x took more than 0.5 s"),
        (programs.CRASH, {}, CommandFailed, "x was ended by signal 11 (Segmentation fault)"),
        (programs.MEMORY, {"memory_max_bytes": 256 * MIB}, CommandFailed, "x ended with code 1: MemoryError"),
        (programs.MESSAGE, {}, CommandFailed, "x ended with code 3: no lung in these images"),
        (programs.HUGE, {"output_max_bytes": 3 * MIB}, CommandFailed,
         "x ended with code 1: OSError: [Errno 27] File too large"),
        (programs.MANY_BYTES, {"output_max_bytes": 3 * MIB}, TooLargeToProcess, f"x wrote more than {3 * MIB} bytes"),
        (programs.MANY_FILES, {"files_max": 50}, TooLargeToProcess, "x wrote more than 50 files"),
        ("import signal\nsignal.raise_signal(signal.SIGXFSZ)", {}, None, ""),
        ("print('a' * 200000)\nprint('\\x1b[31mend\\x00 ' + 'b' * 1000)\nraise SystemExit(9)", {}, CommandFailed,
         "x ended with code 9: [31mend " + "b" * 192),
    ],
    ids=["hangs", "forks", "spins", "crashes", "memory", "message", "huge", "bytes", "files", "harmless", "shouts"],
)  # fmt: skip
def test_ends(place: Place, text: str, limits: dict, situation: type[MedserverError] | None, message: str) -> None:
    if situation is None:
        assert run(place, text, **limits).code == 0
        return
    with pytest.raises(situation) as raised:
        run(place, text, **limits)
    assert str(raised.value) == message
    assert [pid for pid in pids(place) if is_alive(pid)] == []


@pytest.mark.parametrize("program", ["/nowhere/program", "/etc/passwd"])
def test_what_cannot_be_started(place: Place, program: str) -> None:
    one = replace(entry(place.work.parent / "x"), command=(program,))
    with pytest.raises(CommandFailed, match=f"x: {program} cannot be started: (No such file|Permission denied)"):
        check_end(one, execute(one, invocation(one, place, {}, "none"), place, lambda: False))


def test_a_program_that_leaves_others_behind(place: Place) -> None:
    assert run(place, programs.FORK_AND_LEAVE).code == 0
    assert [pid for pid in pids(place) if is_alive(pid)] == []


def test_a_cancel(place: Place) -> None:
    with pytest.raises(WorkStopped):
        run(place, programs.FORK, lambda: len(pids(place)) == 4)
    assert len(pids(place)) == 4
    assert [pid for pid in pids(place) if is_alive(pid)] == []


ASKS = """
import sys
from pathlib import Path
from medserver.processing.commands.execution import execute
from medserver.processing.commands.invocation import Place, invocation
from tests.processing.commands.test_execution import entry
folder = Path(sys.argv[1])
place = Place(folder / "in", folder / "out", folder / "work")
one = entry(folder / "program")
execute(one, invocation(one, place, {}, "none"), place, lambda: False)
"""


@pytest.mark.parametrize("killed", ["who asks", "the supervisor"])
def test_the_death_of(place: Place, killed: str) -> None:
    """Whoever of the two is killed: nothing of the program goes on."""
    programs.write(place.work.parent, "program", programs.FORK)
    with subprocess.Popen(
        [sys.executable, "-c", ASKS, str(place.work.parent)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, stderr=subprocess.DEVNULL,
    ) as asking:  # fmt: skip
        wait_until(lambda: len(pids(place)) == 4, deadline_s=60, what="the program and its children")
        victim = asking.pid
        if killed == "the supervisor":
            victim = next(parent for parent in map(parent_of, pids(place)) if parent not in pids(place))
        os.kill(victim, signal.SIGKILL)
        asking.wait(60)
    expected = pids(place) if killed == "who asks" else [pid for pid in pids(place) if pid in group(place)]
    wait_until(lambda: not any(map(is_alive, expected)), deadline_s=30, what="their ends")
    for pid in pids(place):
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def group(place: Place) -> set[int]:
    """Return those that did not leave the group of the program."""
    def is_in(pid: int) -> bool:
        try:
            return os.getpgid(pid) in pids(place) and os.getpgid(pid) != pid
        except ProcessLookupError:
            return True

    return {pid for pid in pids(place) if is_in(pid)}


def test_one_program_does_not_hold_the_pipe_of_another(place: Place, tmp_path: Path) -> None:
    """Several are run by threads of one process: the end of one must not wait for the end of another."""
    other = Place(*(tmp_path / "other" / name for name in ("in", "out", "work")))
    for folder in (other.inputs, other.outputs, other.work, tmp_path / "other" / "pids"):
        folder.mkdir(parents=True)
    is_over = threading.Event()
    begun = threading.Event()

    def is_unwanted() -> bool:
        if pids(other):
            begun.set()
        return is_over.is_set()

    def hang() -> None:
        says = "import os\nopen(os.environ['PIDS'] + f'/{os.getpid()}', 'w').close()\n"
        with pytest.raises(WorkStopped):
            run(other, says + programs.HANG, is_unwanted)

    thread = threading.Thread(target=hang)
    thread.start()
    try:
        assert begun.wait(60)
        assert run(place, programs.NOTHING).last_line == "done"
    finally:
        is_over.set()
        thread.join()
