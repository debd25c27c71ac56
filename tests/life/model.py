"""What must be true of an instance after some events, said without a look at how that is done.

What was acknowledged stays, as its bytes or as a form without loss, until an order of deletion that was given after the
last acknowledgement is carried out; then nothing of it is left. What a disk has lost everywhere is excused, until it is
received again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.life.life import StoredFile

_OUTCOMES = {"keep": "kept", "replace": "replaced", "reject": "rejected"}
_SUCCESS = ("stored", "same", "kept", "replaced")


@dataclass
class Model:
    """What is known of the instance.

    Attributes
    ----------
    known : list of str
        The contents that were acknowledged and not deleted, in the order of receipt.
    current : str or None
        The one that is found and sent.
    ordered : set of str
        Those that are to be deleted.
    gone : set of str
        Those that were deleted, and not received since.
    excused : set of str
        Those of which no disk has a good file.
    has_lost : bool
        Whether that ever was. A rebuilt index does not know then when the content was first received, and before what.
    """

    known: list[str] = field(default_factory=list)
    current: str | None = None
    ordered: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    has_lost: bool = False

    @property
    def must(self) -> set[str]:
        """What can be retrieved."""
        return set(self.known) - self.excused

    def expected_outcomes(self, event: str) -> tuple[str | None, ...]:
        """Return what a sender may be answered; None if it is none of his."""
        if event == "promote":
            return (None, *self.known)
        if not event.startswith("receive"):
            return (None,)
        if _content(event) in self.excused:
            return _SUCCESS
        if not self.known:
            return ("stored",)
        if _content(event) in self.known:
            return ("same",)
        return (_OUTCOMES[event.partition(", ")[2] or "keep"],)

    def after(self, event: str, outcome: str | None = None, *, is_repeated: bool = False) -> None:
        """Take note of an event that came to its end, and of what a sender was answered.

        If an attempt before was interrupted, it may have done all of it but the answer.
        """
        if event.startswith("receive"):
            if outcome in ("same", "kept"):
                self.ordered.clear()
            if is_repeated and outcome == "same":
                [outcome, *_] = self.expected_outcomes(event)
            self._received(_content(event), outcome or "")
        elif event == "promote":
            self.current = outcome or self.current
        elif event == "order":
            self.ordered = set(self.known)
        elif event in ("delete", "jobs"):
            self._deleted()

    def after_damage(self, left: Iterable[StoredFile]) -> None:
        """Take note of what the disks have lost."""
        good = {file.content for file in left}
        self.excused |= set(self.known) - good
        self.has_lost = self.has_lost or bool(self.excused)

    def _received(self, content: str, outcome: str) -> None:
        if outcome == "rejected":
            return
        if content not in self.known:
            self.known.append(content)
        if outcome in ("stored", "replaced"):
            self.current = content
        self.excused.discard(content)
        self.gone.discard(content)

    def _deleted(self) -> None:
        self.gone |= self.ordered
        self.known = [content for content in self.known if content not in self.ordered]
        self.excused -= self.ordered
        self.ordered.clear()
        if self.current not in self.known:
            self.current = self.known[0] if self.known else None


def _content(event: str) -> str:
    return "B" if event.startswith("receive other") else "A"
