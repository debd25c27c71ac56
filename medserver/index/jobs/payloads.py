"""Payloads of jobs: typed records with a version, as they go into the index and come out of it.

Each kind of job has a record of its own, on the floor of those who make and read it. A job may wait through an upgrade:
a record reads what its older versions wrote (`Payload.upgraded`), and refuses what a newer medserver wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from medserver.index.jobs.records import Job

VERSION = "version"
"""The key of the version; version 0 had none."""


class Payload:
    """To what something is to be done: identifiers, nothing that may have changed by then.

    A subclass is a frozen dataclass, of what JSON can hold; its lists are tuples.

    Attributes
    ----------
    VERSION : int
        Of the record: 1 or more, one more for each change of its fields.
    """

    VERSION: ClassVar[int] = 1

    def as_mapping(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what has its default is left out."""
        given: dict[str, Any] = {VERSION: self.VERSION}
        for name, default in _defaults(type(self)):
            value = getattr(self, name)
            if value != default:
                given[name] = value
        return given

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read the payload of a job.

        Raises
        ------
        ValueError
            It is none of these, or was written by a newer medserver.
        """
        values = dict(job.payload)
        version = values.pop(VERSION, 0)
        if version > cls.VERSION:
            raise ValueError(f"job {job.id} was added by a newer medserver")
        if version < cls.VERSION:
            values = dict(cls.upgraded(version, values))
        if version == 0:  # a dictionary: who read it took no notice of what it did not know
            known = {name for name, _ in _defaults(cls)}
            values = {name: value for name, value in values.items() if name in known}
        try:
            return cls(**{name: _frozen(value) for name, value in values.items()})
        except TypeError as error:
            raise ValueError(f"job {job.id} of kind {job.kind} cannot be read: {error}") from None

    @classmethod
    def upgraded(cls, version: int, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of an older version, 0 or more, as this one names them."""
        del version
        return values


@dataclass(frozen=True, slots=True)
class NoPayload(Payload):
    """Of kinds that are done to nothing in particular, or to their destination."""


@cache
def _defaults(record: type[Payload]) -> tuple[tuple[str, Any], ...]:
    """Return the names of the fields, with their defaults or MISSING."""
    return tuple((each.name, each.default) for each in fields(record))  # type: ignore[arg-type]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
