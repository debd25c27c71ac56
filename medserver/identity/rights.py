"""What can be allowed, and which roles include it: one table, read by dispatch, commands and conformance statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medserver.config import ROLES

ADMIN, OPERATOR, READER, AUDITOR = ROLES


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that may be allowed.

    Parameters
    ----------
    name : str
        As `allow` of an ``[ae NAME]`` entry has it.
    meaning : str
        What whoever has it may do.
    roles : frozenset of str
        The roles that include it.
    """

    name: str
    meaning: str
    roles: frozenset[str]


def _right(name: str, meaning: str, *roles: str) -> Right:
    return Right(name, meaning, frozenset((ADMIN, *roles)))


RIGHTS: tuple[Right, ...] = (
    _right("echo", "verify that the node answers", OPERATOR, READER, AUDITOR),
    _right("store", "register instances", OPERATOR),
    _right("find", "search studies, series, instances and other objects", OPERATOR, READER),
    _right("move", "have instances sent to an AE", OPERATOR, READER),
    _right("get", "retrieve instances", OPERATOR, READER),
    _right("commit", "ask for storage commitment, and report on it", OPERATOR),
    _right("mpps", "report performed procedure steps, and read them", OPERATOR),
    _right("process", "have images processed, and process them: all that is done with work items", OPERATOR),
    _right("print", "print films", OPERATOR),
)
"""Every right, those of `medserver.config.SERVICES` in their order."""


def rights_of(roles: Iterable[str]) -> frozenset[str]:
    """Return the rights that some roles include together; a role that is not known includes none."""
    held = frozenset(roles)
    return frozenset(right.name for right in RIGHTS if right.roles & held)
