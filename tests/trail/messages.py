"""Audit messages of a node in one line each, and waiting for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

from medserver.audit import AuditRow
from medserver.index import Index, open_index
from tests.audit import schema
from tests.peers.process import wait_until

OWN_PROCESS = "node"
"""Stands for whatever process of this node it was."""

MEANINGS = {
    "110100": "application", "110101": "log used", "110102": "begin", "110103": "accessed", "110104": "transferred",
    "110105": "deleted", "110106": "export", "110111": "procedure", "110112": "query", "110113": "alert",
    "110114": "user",
}  # fmt: skip
ROLES = {"110150": "application", "110151": "launcher", "110152": "to", "110153": "from", "110154": "on"}


class Trail:
    """The trail of a node, looked at from outside; looking leaves no message.

    Parameters
    ----------
    data : Path
        The data folder of the node.
    """

    def __init__(self, data: Path, url: str = "sqlite:///index.db") -> None:
        self._data = data
        self._url = url

    def index(self) -> closing[Index]:
        """Give the index, to be closed."""
        return closing(open_index(self._url, base=self._data))

    def rows(self) -> list[AuditRow]:
        """Return all rows, sealed ones first."""
        with self.index() as index:
            return rows_of(index)

    def texts(self, after: int = 0) -> list[str]:
        """Return the messages behind the first ones, each as `described`."""
        return [described(row.message) for row in self.rows()[after:]]

    def expect(self, after: int, expected: Sequence[str]) -> None:
        """Wait until there are so many messages behind the first ones, and compare them; in any order."""
        wait_until(lambda: len(self.rows()) >= after + len(expected), what=f"{len(expected)} messages")
        found = sorted(self.texts(after))
        assert found == sorted(expected), "\n".join(["there are", *found, "there should be", *sorted(expected)])


def rows_of(index: Index) -> list[AuditRow]:
    """Return all rows of an index, sealed ones first."""
    pending = index.audit.pending(1_000_000)  # first: what is sealed meanwhile is found below
    rows: list[AuditRow] = []
    after = 0
    while page := index.audit.page(after):
        rows += [each.row for each in page]
        after = page[-1].position
    return rows + [row for row in pending if row not in rows[-len(pending) :]]


def described(message: str) -> str:
    """Return a message, which must be valid, in a line: kind, action, outcome, participants, objects."""
    tree = schema.parsed(message)
    event = tree.find("EventIdentification")
    kind = MEANINGS[event.find("EventID").get("csd-code")]
    types = "".join(f"({each.get('originalText')})" for each in event.findall("EventTypeCode"))
    parts = [f"{kind}{types} {event.get('EventActionCode')}{event.get('EventOutcomeIndicator')}"]
    parts += map(_participant, tree.findall("ActiveParticipant"))
    parts += map(_object, tree.findall("ParticipantObjectIdentification"))
    return " ".join(parts)


def _participant(each: ElementTree.Element) -> str:
    ae_title = each.get("AlternativeUserID", "").removeprefix("AETITLES=")
    user = each.get("UserID")
    name = ae_title or (OWN_PROCESS if user.isdigit() else user.partition("@")[0])
    role = "".join(ROLES[code.get("csd-code")] for code in each.findall("RoleIDCode")) or "who"
    return f"{role}={name}{'!' if each.get('UserIsRequestor') == 'true' else ''}"


def _object(each: ElementTree.Element) -> str:
    kind = each.find("ParticipantObjectIDTypeCode").get("originalText")
    count = sum(int(one.get("NumberOfInstances")) for one in each.iter("SOPClass"))
    if kind == "Study Instance UID":
        return f"study{f'x{count}' if count else ''}"
    if kind == "Patient Number":
        return f"patient={each.get('ParticipantObjectID')}"
    return {"SOP Class UID": "query", "Node ID": "node", "URI": "uri"}[kind]
