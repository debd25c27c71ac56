"""Programs in containers: the command line of podman and docker, run by a program of that name that checks it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from medserver.config import CommandType, read_config
from medserver.errors import CommandFailed, WorkStopped
from medserver.processing.commands.execution import Ended, check_end, execute
from medserver.processing.commands.invocation import Place, invocation
from tests.peers.proc import is_alive
from tests.processing.commands import programs

ENGINE = """
import json, os, sys
from pathlib import Path

here = Path(__file__).resolve().parent
with open(here / "calls", "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if sys.argv[1] == "rm":
    sys.exit(0)

# As 'run' reads them: options, the image, and what is started in the container
flags, options, variables, volumes = {"--rm"}, {}, {}, {}
rest = sys.argv[2:]
while rest[0].startswith("-"):
    name = rest.pop(0)
    if name in flags:
        continue
    value = rest.pop(0)
    if name == "-e":
        variables.update([value.split("=", 1)])
    elif name == "-v":
        source, target = value.split(":")[:2]
        assert os.path.isdir(source), source
        volumes[target] = source
    else:
        options.setdefault(name, []).append(value)
image, *command = rest
assert options["--network"] == ["none"] and image == "docker.io/clinic/x:2"
inside = {name: volumes.get(value, value) for name, value in variables.items()}
inside = {"PATH": "/usr/bin:/bin", **inside}
command = [volumes.get(part, part) for part in command]
os.execve(here / "inside", ["inside", *command], inside)
"""

SAYS = """
import json, os, sys
open(os.environ["MERCURE_OUT_DIR"] + "/said.json", "w").write(json.dumps([sys.argv[1:], dict(os.environ)]))
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place(tmp_path / "in", tmp_path / "out", tmp_path / "work")
    for folder in (found.inputs, found.outputs, found.work, tmp_path / "pids", tmp_path / "bin"):
        folder.mkdir()
    return found


def with_engine(place: Place, monkeypatch: pytest.MonkeyPatch, name: str, inside: str) -> Path:
    """Put an engine of this name before all others, and what is in its image; return the file of its calls."""
    folder = place.work.parent / "bin"
    programs.write(folder, name, ENGINE)
    programs.write(folder, "inside", inside)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "calls"


def entry(engine: str, pids: Path, options: str = "") -> CommandType:
    text = (
        f"[type x]\nimage = docker.io/clinic/x:2\ncommand = run {{in}} {{out}}\nengine = {engine}\ncpus = 2\n"
        f"memory_max_bytes = 512 MiB\noutput_max_bytes = 1 MiB\n{options}\nenvironment = PIDS = {pids}\n"
    )
    return read_config(text, base=pids).config.types[0]


def run(one: CommandType, place: Place, unless=lambda: False) -> Ended:
    ended = execute(one, invocation(one, place, {"level": (1, 2)}, "medserver-7"), place, unless)
    check_end(one, ended)
    return ended


@pytest.mark.parametrize(("wanted", "engine"), [("auto", "podman"), ("auto", "docker"), ("docker", "docker")])
def test_the_command_line(place: Place, monkeypatch: pytest.MonkeyPatch, wanted: str, engine: str) -> None:
    calls = with_engine(place, monkeypatch, engine, SAYS)
    one = entry(wanted, place.work.parent / "pids", "engine_options = --device nvidia.com/gpu=all")
    run(one, place)
    first, last = map(json.loads, calls.read_text().splitlines())
    user = ["--user", f"{os.geteuid()}:{os.getegid()}"]
    if engine == "podman":
        user = [] if os.geteuid() == 0 else ["--userns", "keep-id"]
    variables = [f"{name}=/tmp/data" for name in ("MERCURE_IN_DIR", "MONAI_INPUTPATH", "HOLOSCAN_INPUT_PATH")]
    variables += [f"{name}=/tmp/output" for name in ("MERCURE_OUT_DIR", "MONAI_OUTPUTPATH", "HOLOSCAN_OUTPUT_PATH")]
    variables += ["PARAMETER_LEVEL=1,2", f"PIDS={place.work.parent / 'pids'}"]
    assert first == [
        engine, "run", "--rm", "--name", "medserver-7", "--network", "none", "--pull", "missing",
        "-v", f"{place.inputs}:/tmp/data", "-v", f"{place.outputs}:/tmp/output",
        "--memory", f"{512 * 2**20}b", "--cpus", "2", "--pids-limit", "1024", "--cap-drop", "all",
        "--security-opt", "no-new-privileges", "--ulimit", "core=0:0", "--ulimit", "nofile=1024:1024",
        "--ulimit", f"fsize={2**20}:{2**20}", *user, *(part for each in variables for part in ("-e", each)),
        "--device", "nvidia.com/gpu=all", "docker.io/clinic/x:2", "run", "/tmp/data", "/tmp/output",
    ]  # fmt: skip
    assert last == [engine, "rm", "-f", "medserver-7"]
    arguments, variables = json.loads((place.outputs / "said.json").read_text())
    assert arguments == ["run", str(place.inputs), str(place.outputs)]
    assert variables["MONAI_INPUTPATH"] == str(place.inputs) and variables["PARAMETER_LEVEL"] == "1,2"


def test_a_cancel_removes_the_container(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = with_engine(place, monkeypatch, "podman", programs.FORK)
    pids = place.work.parent / "pids"
    with pytest.raises(WorkStopped):
        run(entry("auto", pids), place, lambda: len(list(pids.iterdir())) == 4)
    assert json.loads(calls.read_text().splitlines()[-1]) == ["podman", "rm", "-f", "medserver-7"]
    assert [path.name for path in pids.iterdir() if is_alive(int(path.name))] == []


def test_what_the_container_ends_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(place, monkeypatch, "docker", programs.MESSAGE)
    with pytest.raises(CommandFailed, match="x ended with code 3: no lung in these images"):
        run(entry("auto", place.work.parent / "pids"), place)


def test_no_engine(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.work))
    with pytest.raises(CommandFailed, match="no podman or docker is installed"):
        run(entry("auto", place.work), place)


def real_engine() -> tuple[str, str]:
    """Return an engine that works, and an image that it has; skip the test if there is none."""
    for engine in filter(None, map(shutil.which, ("podman", "docker"))):
        listed = subprocess.run([engine, "images", "-q"], capture_output=True, text=True, check=False, timeout=60)
        if listed.returncode == 0 and listed.stdout.split():
            return os.path.basename(engine), listed.stdout.split()[0]
    pytest.skip("there is no podman or docker that has an image")


def test_a_real_container(place: Place) -> None:
    engine, image = real_engine()
    one = replace(entry(engine, place.work), image=image, command=("sh", "-c", "echo $MERCURE_IN_DIR > {out}/said"))
    run(one, place)
    assert (place.outputs / "said").read_text() == "/tmp/data\n"
