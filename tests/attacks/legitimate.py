"""The legitimate peer: a process that sends a C-ECHO every 20 ms and measures how long the answers take.

A process of its own, so that neither the threads nor the garbage of the attacker disturb what it measures.

    python -m tests.attacks.legitimate AE_TITLE PORT HOST

It reads ``begin`` and ``end`` from its standard input, and answers ``ready``, ``began`` and the report as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from contextlib import suppress

from tests.attacks import raw
from tests.peers import Address

AE_TITLE = "LEGITIMATE"
INTERVAL_S = 0.02
FRESH_EVERY = 10
"""Every so many C-ECHOs one goes over an association of its own; that is measured from the first packet on."""

COUNT_MIN = 25
"""So many C-ECHOs are measured at least, however short the attack was: some of them come right behind it."""

TIMEOUT_S = 10.0


class Verifier:
    """Sends C-ECHOs until it is told to end.

    Parameters
    ----------
    address : Address
        The node.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._open: socket.socket | None = None
        self.count = 0
        self.slowest_s = 0.0
        self.failures: list[str] = []

    def verify(self) -> None:
        """Send the next C-ECHO and wait for its answer."""
        self.count += 1
        fresh = self.count % FRESH_EVERY == 0
        began_at = time.monotonic()
        try:
            if fresh or self._open is None:
                self._associate(keep=not fresh)
            else:
                _echo(self._open, self.count)
        except OSError as error:
            kind = "fresh" if fresh else "open"
            self.failures.append(f"C-ECHO {self.count}, {kind} association: {error}")
            if not fresh:
                self.close()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_at)

    def _associate(self, keep: bool) -> None:
        sock = raw.associate(self._address, AE_TITLE, timeout_s=TIMEOUT_S)
        try:
            _echo(sock, self.count)
        except OSError:
            sock.close()
            raise
        if keep:
            self._open = sock
        else:
            raw.release(sock)

    def close(self) -> None:
        """Release the association that stays open."""
        sock, self._open = self._open, None
        if sock is not None:
            with suppress(OSError):
                raw.release(sock)

    def report(self) -> dict[str, object]:
        """Return what was measured."""
        return {"count": self.count, "slowest_s": self.slowest_s, "failures": self.failures[:5]}


def _echo(sock: socket.socket, message_id: int) -> None:
    sock.sendall(raw.echo_request(message_id % 0x10000))
    status = raw.receive_status(sock)
    if status != 0:
        raise ConnectionError(f"status {status:04X}")


def _next_command(timeout_s: float | None) -> str | None:
    """Return the next line of standard input; None when none comes in time, and '' at its end."""
    readable, _, _ = select.select([sys.stdin], [], [], timeout_s)
    return sys.stdin.readline() if readable else None


def main() -> None:
    """Measure from each `begin` to the next `end`."""
    ae_title, port, host = sys.argv[1:]
    address = Address(ae_title, int(port), host)
    print("ready", flush=True)
    while _next_command(None):
        verifier = Verifier(address)
        verifier.verify()
        print("began", flush=True)
        next_at = time.monotonic()
        while _next_command(max(next_at - time.monotonic(), 0)) is None:
            next_at = time.monotonic() + INTERVAL_S
            verifier.verify()
        while verifier.count < COUNT_MIN:
            verifier.verify()
        verifier.close()
        print(json.dumps(verifier.report()), flush=True)


if __name__ == "__main__":
    main()
