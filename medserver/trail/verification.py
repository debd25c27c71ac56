"""Whether the trail is what was sealed: nothing altered, removed, re-ordered or inserted since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from medserver.audit.chain import BEGINNING, digest_of
from medserver.index import Index, SealedRow

FINDINGS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """A row that is known from elsewhere: its position and its digest."""

    position: int
    digest: str

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"


def head_of(text: str) -> Head:
    """Read ``POSITION:DIGEST``.

    Raises
    ------
    ValueError
        It is none.
    """
    position, _, digest = text.strip().partition(":")
    if not position.isdigit() or len(digest) != len(BEGINNING) or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not of the form POSITION:DIGEST")
    return Head(int(position), digest)


@dataclass
class Verification:
    """What was found.

    Parameters
    ----------
    sealed, pending : int
        How many rows are sealed, and how many are not yet: of those nothing is proved.
    head : Head
        The last row: to be kept elsewhere, and compared with later.
    problems : list of str
        What is not as it was sealed.
    """

    sealed: int = 0
    pending: int = 0
    head: Head = Head(0, BEGINNING)
    problems: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether all that is sealed is as it was sealed."""
        return not self.problems

    def report(self, problem: str) -> None:
        """Note something that is not as it was."""
        if len(self.problems) < FINDINGS_MAX:
            self.problems.append(problem)


def verify(index: Index, known: Iterable[Head] = (), should_stop: Callable[[], bool] = lambda: False) -> Verification:
    """Verify the trail of an index.

    Parameters
    ----------
    index : Index
        The index.
    known : iterable of Head
        Heads that were kept elsewhere; of one that is older than what is kept nothing follows, which is a problem.
    should_stop : callable
        Tells whether to give up.
    """
    before = index.audit.chain()
    found = Verification(pending=index.audit.pending_count())
    beginning = Head(before.pruned_position, before.pruned_digest)
    verify_rows(_rows(index, beginning.position, before.position, should_stop), beginning, found, known)
    if before.position and found.head != Head(before.position, before.digest):
        found.report(
            f"the chain ends with {before.position}:{before.digest[:16]}..., the rows with "
            f"{found.head.position}:{found.head.digest[:16]}..."
        )
    after = index.audit.chain()
    rest = index.audit.page(max(after.position, before.position), 1)
    if rest and index.audit.chain().position < rest[0].position:
        found.report(f"row {rest[0].position} stands behind the end of the chain: it was inserted")
    return found


def verify_rows(
    rows: Iterable[SealedRow], beginning: Head, found: Verification, known: Iterable[Head] = ()
) -> Verification:
    """Verify rows one after the other; behind one that is not as it was, those that follow are still compared.

    Parameters
    ----------
    rows : iterable of SealedRow
        In their order.
    beginning : Head
        What stands before the first.
    found : Verification
        Takes what is found.
    known : iterable of Head
        As for `verify`.
    """
    by_position = {each.position: each.digest for each in known}
    position, digest = beginning.position, beginning.digest
    for each in rows:
        if each.position != position + 1:
            missing = f"{position + 1}" + (f" to {each.position - 1}" if each.position - 1 > position + 1 else "")
            found.report(f"rows {missing} are missing: they were removed")
            position = each.position - 1
        elif digest_of(digest, each.position, each.row) != each.digest:
            found.report(f"row {each.position} is not what was sealed: it, or its place, was altered")
        if each.position in by_position and by_position.pop(each.position) != each.digest:
            found.report(f"row {each.position} has another digest than the head that is known: the chain was made anew")
        position, digest = each.position, each.digest
        found.sealed += 1
    found.head = Head(position, digest)
    for lacking in sorted(by_position):
        if lacking > beginning.position:
            found.report(f"row {lacking}, of which the head is known, is not there")
        elif lacking < beginning.position:
            found.report(
                f"row {lacking}, of which the head is known, is not kept any more: who wrote into the database may "
                f"have made everything behind row {beginning.position}; give a head that is younger than [audit] keep"
            )
        elif by_position[lacking] != beginning.digest:
            found.report(f"row {lacking} had another digest than the head that is known: the chain was made anew")
    return found


def _rows(index: Index, after: int, last: int, should_stop: Callable[[], bool]) -> Iterator[SealedRow]:
    while not should_stop() and (page := index.audit.page(after)):
        for each in page:
            if each.position > last:
                return
            yield each
        after = page[-1].position
