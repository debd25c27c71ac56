"""Types of processing that do what they should not, or wait; a plug-in, see `installed`."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medserver.processing.parameters import Parameter
from medserver.processing.pixels.images import open_image
from medserver.processing.pixels.results import Derivation, derived_image
from medserver.processing.task import Task
from medserver.processing.types import PLUG_INS, ProcessingType, plug_ins
from medserver.processing.types.copy import copy
from tests.peers.node import REPOSITORY

BEGUN = "begun"
"""The name of a file that each of them writes among its outputs, when it begins."""


def _type(name: str, parameters: tuple[Parameter, ...] = ()) -> ProcessingType:
    function = f"{__name__}:{name}"
    return ProcessingType(name, f"Test: {name}", "1", parameters, "instance", (), "nothing", True, function)


def wait(task: Task) -> None:
    """Wait for ever, without using any CPU time."""
    _begin(task)
    threading.Event().wait()


def spin(task: Task) -> None:
    """Use CPU time for ever."""
    _begin(task)
    while True:
        pass


def eat(task: Task) -> None:
    """Use more and more memory."""
    _begin(task)
    eaten = []
    while True:
        eaten.append(bytearray(16 * 2**20))


def segfault(task: Task) -> None:
    """Read what is not there."""
    _begin(task)
    ctypes.string_at(0)


def be_killed(task: Task) -> None:
    """Be killed."""
    _begin(task)
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_once(task: Task) -> None:
    """Be killed, unless this was done before; then do as `copy` does."""
    mark = Path(str(task.parameters["mark"]))
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    copy(task)


def linger(task: Task) -> None:
    """Have done half of the first output until a file is there; then do as `copy` does."""
    _begin(task)
    mark = Path(str(task.parameters["mark"]))
    task.numbers(len(task.sources))
    while not mark.exists():
        task.reached(0.5)
        threading.Event().wait(0.02)
    copy(task)


def scribble(task: Task) -> None:
    """Write what is no object."""
    (task.outputs / "000001.dcm").write_bytes(b"nonsense" * 100)


def write_one_and_wait(task: Task) -> None:
    """Write the first output of each part, as `copy` does, and wait for ever."""
    number = task.numbers(len(task.sources))[0]
    with open_image(task.sources[number - 1], task.outputs) as image:
        task.write(number, derived_image(task, number, image, Derivation("Test", (), "test")), image.pixels())
    wait(task)


def scribble_and_wait(task: Task) -> None:
    """Write what is no object, under the name of a complete output, and wait for ever."""
    (task.outputs / f"{task.numbers(len(task.sources))[0]:06d}.dcm").write_bytes(b"nonsense" * 100)
    wait(task)


def _begin(task: Task) -> None:
    (task.outputs / BEGUN).touch()


_NAMES = ("wait", "spin", "eat", "segfault", "be_killed", "scribble", "write_one_and_wait", "scribble_and_wait")
WAIT, SPIN, EAT, SEGFAULT, BE_KILLED, SCRIBBLE, WRITE_ONE_AND_WAIT, SCRIBBLE_AND_WAIT = map(_type, _NAMES)
_MARK = (Parameter("mark", "File that says that it was done", "text", default=""),)
BE_KILLED_ONCE, LINGER = _type("be_killed_once", _MARK), _type("linger", _MARK)


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Install them for this process, and for the processes that compute for it."""
    about = folder / "misbehaving-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1\n")
    names = (*(name.upper() for name in _NAMES), "BE_KILLED_ONCE", "LINGER")
    points = "".join(f"{name.lower()} = {__name__}:{name}\n" for name in names)
    (about / "entry_points.txt").write_text(f"[{PLUG_INS}]\n{points}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.syspath_prepend(REPOSITORY)
        plug_ins.cache_clear()
        yield
    plug_ins.cache_clear()
