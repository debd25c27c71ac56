"""Ports for peers that cannot be told to choose one themselves."""

from __future__ import annotations

import os
import random
import socket

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that no
# connection of another test takes the port between this check and the start of the peer.
PORTS = range(15_000, 32_000)

# The processes of pytest-xdist must not take each other's, either.
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_COUNT = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_OURS = list(PORTS[_NUMBER::_COUNT])
random.SystemRandom().shuffle(_OURS)


def free_port() -> int:
    """Return a port of the loopback address on which nobody listens, another one each time.

    Who needs two of them asks twice before anything listens: the same one would fail at the second listener.
    """
    for _ in range(100):
        port = _OURS.pop()
        _OURS.insert(0, port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found")
