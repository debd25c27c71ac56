"""Queries are asked while the node and its repository are killed: each that was answered is in both trails.

A query names a patient of its own, so that its message is known by its identifier.
"""

from __future__ import annotations

import random
import re
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from medserver.errors import MedserverError
from medserver.index import open_index
from medserver.trail.verification import verify
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.rsyslog import Rsyslog
from tests.services.client import Client

CLIENTS = 2
PAUSE_S = (0.2, 1.5)
"""How long nothing is killed."""

AGAIN_S = 0.05

_QUERY = re.compile(r"<ParticipantObjectQuery>([^<]+)<")
_NAME = re.compile(rb"Q[0-9]+-[0-9]+")


class Campaign:
    """A node, a repository, and two clients.

    Parameters
    ----------
    folder : Path
        An empty folder.
    chance : random.Random
        Decides who is killed, and when.
    tell : callable
        Takes a line for people.
    """

    def __init__(self, folder: Path, chance: random.Random, tell: Callable[[str], None]) -> None:
        self._chance, self._tell = chance, tell
        self.repository = Rsyslog(folder / "rsyslog")
        options = {"audit.repositories": self.repository.tls, "audit.resend": "0 s", "backup.interval": 0}
        (folder / "node").mkdir()
        self.node = Node(folder / "node", options=options | self.repository.options)
        self.answered: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.duplicates = self.messages = 0
        self._lock = threading.Lock()
        self._wanted = 0
        self._pause = threading.Event()  # never set

    def run(self, count: int, kills: int) -> None:
        """Ask until so many queries were answered, and so many kills done."""
        self._wanted = count
        self.repository.start()
        self.node.start()
        clients = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        begun = time.monotonic()
        while any(thread.is_alive() for thread in clients):
            self._pause.wait(self._chance.uniform(*PAUSE_S))
            if sum(self.kills.values()) < kills * min(1.0, len(self.answered) / count * 1.1 + 0.05):
                self._kill()
                if sum(self.kills.values()) % 10 == 0:
                    self._tell(f"{time.monotonic() - begun:.0f} s: {len(self.answered)} answered, {dict(self.kills)}")
        while sum(self.kills.values()) < kills:
            self._kill()

    def _kill(self) -> None:
        who = self._chance.choice(["node", "rsyslog"])
        self.kills[who] += 1
        if who == "node":
            self.node.kill()
            self.node.start()
        else:
            self.repository.kill()
            if self._chance.random() < 0.5:
                self._pause.wait(self._chance.uniform(0.0, 0.5))
            self.repository.start()

    def _ask(self, number: int) -> None:
        client = Client(self.node.address, "FINDSCU")
        asked = 0
        while len(self.answered) < self._wanted:
            try:
                with client.querying() as ask:
                    while len(self.answered) < self._wanted:
                        name = f"Q{number}-{asked}"
                        asked += 1
                        if ask("STUDY", {"PatientID": name}).status == 0:
                            with self._lock:
                                self.answered.add(name)
            except (MedserverError, OSError):  # it is killed just now
                self._pause.wait(AGAIN_S)

    def check(self) -> None:
        """Compare what was answered with the trail, and the trail with what the repository has.

        Raises
        ------
        AssertionError
            Something is missing.
        """
        with closing(open_index("sqlite:///index.db", base=self.node.data)) as index:

            def is_sent() -> bool:
                known = index.audit.repositories().get(self.repository.tls)
                position = index.audit.chain().position
                return index.audit.pending_count() == 0 and known is not None and known.sent_position == position

            wait_until(is_sent, what="the trail to be sent", deadline_s=300)
            found = verify(index)
            assert found.is_intact, found.problems[:5]
            trail: Counter[str] = Counter()
            after = 0
            while page := index.audit.page(after):
                trail.update(each.row.message for each in page)
                after = page[-1].position
        received = Counter(self.repository.messages())
        missing = self.answered - set(map(_name_of, trail))
        assert not missing, f"{len(missing)} answered queries are not in the trail, such as {min(missing)}"
        lost = trail.keys() - received.keys()
        assert not lost, f"{len(lost)} of {len(trail)} messages have not arrived, such as {min(lost)}"
        strange = received.keys() - trail.keys()
        assert not strange, f"{len(strange)} messages are not in the trail"
        self.duplicates = received.total() - len(received)
        self.messages = len(trail)

    def close(self) -> None:
        """End both."""
        self._wanted = 0
        self.node.kill()
        self.repository.kill()


def _name_of(message: str) -> str:
    query = _QUERY.search(message)
    name = _NAME.search(b64decode(query[1])) if query else None
    return name[0].decode() if name else ""
