"""An event that is interrupted: its process is killed at a crash point, or the power is cut there.

The process is forked from that of the test, which takes milliseconds. A power cut takes what the index has not flushed;
what it can take of files is the matter of `tests.crash.power`.
"""

from __future__ import annotations

import os
import traceback

from medserver import archive, crash
from tests.life.events import EVENTS
from tests.life.life import BETWEEN_S, Life


INTERRUPTED = ("receive", "receive other, keep", "receive other, replace", "receive other, reject", "copy", "compress",
               "retire", "jobs", "repair", "promote", "delete", "remove")  # fmt: skip
"""The events with crash points."""


def interrupt(life: Life, number: int, *events: str, cut: bool = False) -> bool:
    """Have events end at a crash point of the last one; after a power cut, and where a file was left, the node starts.

    Another worker that was killed is replaced, and nothing is adopted before the next start.

    Parameters
    ----------
    life : Life
        Open; it is open again afterwards.
    number : int
        At which point, counted from 1.
    *events : str
        What happens. All but the last one come to their end.
    cut : bool
        Whether the power is cut as well.

    Returns
    -------
    bool
        False if the last event came to its end before.
    """
    life.close()
    process = os.fork()
    if not process:
        _perform(life, number, *events)
    _, status = os.waitpid(process, 0)
    was_killed = os.WIFSIGNALED(status)
    assert was_killed or os.waitstatus_to_exitcode(status) == 0, "the forked process failed"
    if cut:
        life.lose_unflushed()
    life.clock.advance(BETWEEN_S * len(events))
    life.open()
    if cut or events[-1] == "compress" or events[-1].startswith("receive"):
        archive.reconcile(life.node)
    return was_killed


def _perform(life: Life, number: int, *events: str) -> None:
    """Perform events in this process, which ends here."""
    try:
        life.open()
        for event in events[:-1]:
            EVENTS[event](life)
            life.clock.advance(BETWEEN_S)
        os.environ[crash.VARIABLE] = f"{crash.ANY}:{number}"
        crash._chosen.cache_clear()
        EVENTS[events[-1]](life)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)
