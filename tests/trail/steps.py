"""What happens to a row of the trail, each in a process of its own that a test may let die in the midst of it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from medserver import trail
from medserver.audit import Actor, events
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.node import Node, open_node, utc_now
from medserver.trail.forwarding import Forwarder
from medserver.trail.keeping import Keeper

KEEP_H = 1

_context = multiprocessing.get_context("forkserver")


def opened(folder: Path, options: Mapping[str, object], *, is_later: bool = False) -> Node:
    """Open the node of a folder; later than all that it keeps, if that is asked for."""
    (folder / "config.ini").write_text("[node]\n")
    given = {"node.data": folder / "data", "audit.keep": f"{KEEP_H} h"} | dict(options)
    clock = (lambda: utc_now() + timedelta(hours=KEEP_H + 1)) if is_later else None
    return open_node(ConfigFile(folder / "config.ini", [f"{name}={one}" for name, one in given.items()]), clock=clock)


def tell(node: Node, name: str) -> None:
    """Insert a row that tells of a patient."""
    trail.record(node, [events.study_deleted(Actor("CT1"), events.Patient(name), [events.Study("1.2")])])


def seal(node: Node, repository: str) -> None:
    """Seal what waits for it."""
    keeper = Keeper(node)
    assert keeper.take_lease()
    keeper.seal_all()
    keeper.stop()


def send(node: Node, repository: str) -> None:
    """Send what is sealed."""
    Forwarder(node, repository, lambda: True).forward()


def prune(node: Node, repository: str) -> None:
    """Delete what is old enough."""
    keeper = Keeper(node)
    assert keeper.take_lease()
    keeper.prune()
    keeper.stop()


def fail(node: Node, repository: str) -> None:
    """Have something to send, and nobody who takes it."""
    tell(node, "another")
    seal(node, repository)
    send(node, repository)


STEPS = {"seal": seal, "send": send, "age": send, "break": fail, "prune": prune}


def perform(step: str, folder: Path, options: Mapping[str, object], repository: str) -> None:
    """Do a step in this process."""
    # what ages was sent long enough ago; else it is a moment
    chosen = dict(options) | {"audit.resend": "0 s" if step == "age" else "1 h"}
    with closing(opened(folder, chosen, is_later=step == "prune")) as node:
        STEPS[step](node, repository)


def _perform_and_die(point: str, *arguments: object) -> None:
    os.environ[VARIABLE] = point
    perform(*arguments)


def killed(point: str, step: str, folder: Path, options: Mapping[str, object], repository: str) -> bool:
    """Do a step in a process that dies at a crash point; tell whether it has come there."""
    process = _context.Process(target=_perform_and_die, args=(point, step, folder, dict(options), repository))
    process.start()
    process.join()
    assert process.exitcode in (0, -9), process.exitcode
    return process.exitcode == -9
