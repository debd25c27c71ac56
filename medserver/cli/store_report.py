"""How safe the objects are, in lines for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from medserver.cli.text import count_in_words, duration_in_words, printable, size_in_words
from medserver.index import JobCount
from medserver.safekeeping.status import Status, VolumeStatus
from medserver.store import AWAY, FOREIGN

_HEADER = ("VOLUME", "ROLE", "STATE", "FREE", "COPIES", "BAD", "MISSING", "UNVERIFIED FOR")


def report_lines(status: Status, backed_up_at: datetime | None, now: datetime) -> Iterator[str]:
    """Yield the lines that people read.

    Parameters
    ----------
    status : Status
        How safe the objects are.
    backed_up_at : datetime or None
        When the newest backup of the index was made; None if there is none.
    now : datetime
        To tell ages.
    """
    rows = [_HEADER, *(_row(one, now) for one in status.volumes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for one in status.volumes:
        if one.detail:
            yield f"{one.name}: {printable(one.detail)}"
    yield ""
    yield f"{count_in_words(status.objects, 'object')}"
    for number, count in status.copies.items():
        yield f"  {count} with {count_in_words(number, 'good copy')}"
    if status.originals:
        size = size_in_words(status.originals_bytes)
        yield f"  {count_in_words(status.originals, 'original')} of compressed images, {size} on each volume"
    if status.lost:
        yield f"  LOST: {count_in_words(status.lost, 'object')} without any good copy"
    if status.conflicts:
        count = count_in_words(status.conflicts, "unresolved conflict")
        yield f"{count}, {status.new_conflicts} of them found in the last day: medserver index conflicts list"
    if status.unverified_since:
        yield f"the oldest unverified copy: {_age(status.unverified_since, now)}"
    has_away = any(one.state in (AWAY, FOREIGN) for one in status.volumes)
    none = "none on the volumes that are there" if has_away else "none"
    backup = f"{_age(backed_up_at, now)} old" if backed_up_at else none
    yield f"the newest backup of the index: {backup}"
    yield ""
    yield from _job_lines(status, now)


def _row(one: VolumeStatus, now: datetime) -> tuple[str, ...]:
    free = "-" if one.free_bytes is None else size_in_words(one.free_bytes)
    since = _age(one.unverified_since, now) if one.unverified_since else "-"
    return one.name, one.role, one.state, free, str(one.copies), str(one.bad), str(one.missing), since


def _job_lines(status: Status, now: datetime) -> Iterator[str]:
    if not status.jobs:
        yield "no jobs"
    for one in status.jobs:
        where = f" for {printable(one.destination)}" if one.destination else ""
        count = count_in_words(one.count, "job")
        yield f"{count} {one.state}: {printable(one.kind)}{where}, the oldest {_age(one.oldest_at, now)}"


def _age(moment: datetime, now: datetime) -> str:
    return duration_in_words((now - moment).total_seconds())


def described(status: Status, backed_up_at: datetime | None) -> dict[str, Any]:
    """Return the same for machines."""
    return {
        "volumes": [_as_json(asdict(one)) for one in status.volumes],
        "objects": status.objects,
        "lost": status.lost,
        "originals": status.originals,
        "originals_bytes": status.originals_bytes,
        "good_copies": {str(number): count for number, count in status.copies.items()},
        "unverified_since": status.unverified_since.isoformat() if status.unverified_since else None,
        "backed_up_at": backed_up_at.isoformat() if backed_up_at else None,
        "unresolved_conflicts": status.conflicts,
        "new_conflicts": status.new_conflicts,
        "jobs": [_described_job(one) for one in status.jobs],
        "well": status.is_well,
    }


def _described_job(one: JobCount) -> dict[str, Any]:
    return _as_json(asdict(one))


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
