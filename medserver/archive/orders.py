"""Orders of deletion: what people and rules want deleted, and what was made for an item that has failed.

What carries them out is in `medserver.safekeeping.deletion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medserver.archive.payloads import ListedKey, listed
from medserver.index import NewJob, ObjectKey, StoredCopy
from medserver.index.jobs.payloads import Payload
from medserver.node import Node

DELETE = "delete"

OBJECTS_PER_JOB = 200


@dataclass(frozen=True, slots=True)
class DeletionPayload(Payload):
    """Objects that are to be deleted, with every copy.

    Parameters
    ----------
    objects : tuple of (SOP Instance UID, digest, Transfer Syntax UID)
        Which.
    by, reason : str
        Who wants it, and why.
    rule : str
        The digest of the rule that has ordered it: it is looked at again (`medserver.retention`). Empty if people have.
    is_urged : bool
        Whether an administrator has had the rule order it, though that is a dry run.
    """

    VERSION = 2

    objects: tuple[ListedKey, ...]
    by: str
    reason: str
    rule: str = ""
    is_urged: bool = False


def order_deletion(
    node: Node, objects: Sequence[StoredCopy], *, by: str, reason: str, rule: str = "", is_urged: bool = False,
    is_alone: bool = False,
) -> list[ObjectKey]:  # fmt: skip
    """Have objects deleted by jobs, with every copy of them; return what was ordered, as `Deletions.order` does.

    Parameters
    ----------
    node : Node
        Where they are.
    objects : sequence of StoredCopy
        What is deleted; with an instance all that is stored under its SOP Instance UID.
    by, reason, rule, is_urged
        As in `DeletionPayload`.
    is_alone : bool
        As for `Deletions.order`.
    """

    def jobs_of(keys: Sequence[ObjectKey]) -> Iterator[NewJob]:
        for first in range(0, len(keys), OBJECTS_PER_JOB):
            page = keys[first : first + OBJECTS_PER_JOB]
            yield NewJob(DELETE, DeletionPayload(tuple(map(listed, page)), by, reason, rule, is_urged))

    return node.index.deletions.order(objects, jobs_of, is_alone=is_alone)
