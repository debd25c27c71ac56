"""What must hold while a node is attacked, and afterwards."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.attacks.legitimate import AE_TITLE
from tests.attacks.residue import Residue, descriptors_of, processes_of
from tests.peers.node import REPOSITORY, Node
from tests.peers.process import wait_until

ECHO_MAX_S = 0.25
"""How long the legitimate peer waits for an answer, at most."""

SLOWDOWN_MAX = 4.0
"""So many times as long, at most, where others use the processors at the same time."""

CALIBRATION_S = 0.3
ATTEMPTS_MAX = 3
REPORT_DEADLINE_S = 60
AFTERWARDS_DEADLINE_S = 20
STEADY_S = 1.0
"""How long a node holds the same when all of it has started [s]."""
MEMORY_ALLOWANCE_BYTES = 96 * 1024 * 1024
"""How much more memory all processes of a node together may hold afterwards. Heaps do not shrink to the last page:
each thread takes from one of sixteen in a process of two cores. The buffers of 500 connections would be more."""


def slowdown() -> float:
    """Return how many times as long a computation takes as it would if nobody else used the processors.

    It is asked only when the node has nothing to do: what it finds is the work of others, at least 1.
    """
    began_at, cpu_before_s = time.monotonic(), time.thread_time()
    while (elapsed_s := time.monotonic() - began_at) < CALIBRATION_S:
        pass
    return min(max(elapsed_s / max(time.thread_time() - cpu_before_s, 1e-6), 1.0), SLOWDOWN_MAX)


class SlowEcho(AssertionError):
    """A C-ECHO of the legitimate peer was answered too late."""


class Siege:
    """A running node with a legitimate peer that must not notice the attacks.

    Parameters
    ----------
    node : Node
        Running, with an entry for `legitimate.AE_TITLE`.

    Attributes
    ----------
    slowest_s : float
        The slowest C-ECHO of the last attack.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.slowest_s = 0.0
        self._peer = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.legitimate", *map(str, node.address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self._answer() == "ready"
        self._wait_until_steady()

    def _wait_until_steady(self) -> None:
        """Wait until all processes of the node have their threads: what is compared later is what they hold then."""
        seen, since = None, time.monotonic()

        def is_steady() -> bool:
            nonlocal seen, since
            residue = Residue.of(self.node)
            held = residue.threads, residue.descriptors
            if held != seen:
                seen, since = held, time.monotonic()
            return time.monotonic() - since > STEADY_S

        wait_until(is_steady, deadline_s=AFTERWARDS_DEADLINE_S, what="the start of all threads of the node")

    def close(self) -> None:
        """End the legitimate peer."""
        self._peer.stdin.close()
        self._peer.wait(REPORT_DEADLINE_S)
        self._peer.stdout.close()

    def withstands(self, attack: Callable[[], object], memory_allowance_bytes: int = MEMORY_ALLOWANCE_BYTES) -> None:
        """Attack, and assert that the node withstands it.

        The attack is repeated when an answer came late and nothing else was wrong: on a machine with two cores
        that others use as well, any process may once have to wait for longer than the bound, which is therefore
        wider while others are at work (`slowdown`). A node that is really held up is held up three times.
        """
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with self.withstood(memory_allowance_bytes):
                    attack()
                return
            except SlowEcho:
                if attempt == ATTEMPTS_MAX:
                    raise

    @contextmanager
    def withstood(self, memory_allowance_bytes: int = MEMORY_ALLOWANCE_BYTES) -> Iterator[None]:
        """Assert that the node withstands what is done in the block.

        Raises
        ------
        SlowEcho
            A C-ECHO was answered too late, and nothing else was wrong.
        """
        processes, before = processes_of(self.node), Residue.of(self.node)
        self._tell("begin")
        assert self._answer() == "began"
        try:
            yield
        finally:
            self._tell("end")
            report = json.loads(self._answer())
        self.slowest_s = report["slowest_s"]
        # Shown when the test fails, and with `pytest -rP`.
        print(f"{report['count']} C-ECHOs, the slowest took {self.slowest_s * 1000:.0f} ms")
        assert report["failures"] == []
        assert processes_of(self.node) == processes, "a process of the node ended"
        assert "Traceback" not in self.node.output, self.node.output[-10_000:]
        self._wait_until_as_before(before, memory_allowance_bytes)
        if self.slowest_s > ECHO_MAX_S and self.slowest_s > (bound_s := ECHO_MAX_S * slowdown()):
            raise SlowEcho(f"a C-ECHO was answered after {self.slowest_s:.3f} s instead of {bound_s:.3f} s")

    def wait_until_logged(self, text: str, count: int = 1, deadline_s: float = AFTERWARDS_DEADLINE_S) -> None:
        """Wait until a text stands so many times in the log of the node."""
        wait_until(lambda: self.node.output.count(text) >= count, deadline_s=deadline_s, what=f"{text!r} in the log")

    def wait_until_gone(self) -> None:
        """Wait until nobody has an association but the legitimate peer, who may have two."""
        wait_until(lambda: Residue.of(self.node).connections <= 2, what="the end of the associations")

    def _wait_until_as_before(self, before: Residue, memory_allowance_bytes: int) -> None:
        """Wait until the node holds no more than before."""
        excess: dict[str, tuple[int, int]] = {}

        def is_as_before() -> bool:
            nonlocal excess
            excess = Residue.of(self.node).excess(before, memory_allowance_bytes)
            return not excess

        try:
            wait_until(is_as_before, deadline_s=AFTERWARDS_DEADLINE_S, what="the end of the attack in the node")
        except AssertionError:
            held = "\n".join(descriptors_of(self.node))
            raise AssertionError(f"left behind by the attack (before, now): {excess}\n{held}") from None

    def _tell(self, command: str) -> None:
        self._peer.stdin.write(command + "\n")
        self._peer.stdin.flush()

    def _answer(self) -> str:
        """Return the next line of the legitimate peer."""
        readable, _, _ = select.select([self._peer.stdout], [], [], REPORT_DEADLINE_S)
        assert readable, "the legitimate peer does not answer"
        return self._peer.stdout.readline().strip()


__all__ = ["AE_TITLE", "ECHO_MAX_S", "Siege", "SlowEcho"]
