"""What the kernel says of processes, see proc(5): one that has ended is no error, however late it is seen."""

from __future__ import annotations

from pathlib import Path

_PARENT, _GROUP, _START_TIME = 1, 2, 19
"""Positions behind the command's name, from 0."""


def is_alive(process_id: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    fields = _fields(process_id)
    return bool(fields) and fields[0] != "Z"


def parent_of(process_id: int) -> int | None:
    """Return the parent of a process; None if it has ended."""
    fields = _fields(process_id)
    return int(fields[_PARENT]) if fields else None


def start_time_of(process_id: int) -> int | None:
    """Return when a process was started, which together with its number names it for ever; None if it has ended."""
    fields = _fields(process_id)
    return int(fields[_START_TIME]) if fields else None


def children_of(process_id: int) -> list[int]:
    """Return the children of all threads of a process; none if it has ended."""
    found: list[int] = []
    for path in Path(f"/proc/{process_id}/task").glob("*/children"):
        found += map(int, _read(path).split())
    return found


def members_of(group: int) -> set[int]:
    """Return the processes of a process group that run."""
    processes = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {one for one in processes if (fields := _fields(one)) and int(fields[_GROUP]) == group and fields[0] != "Z"}


def _fields(process_id: int) -> list[str]:
    """Return what follows the command's name in the status of a process; empty if it has ended."""
    return _read(Path(f"/proc/{process_id}/stat")).rpartition(")")[2].split()


def _read(path: Path) -> str:
    try:  # ESRCH: the process ended between open and read
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
