"""What workers wrote down: who did what, from when to when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Run:
    """One execution of a job; it ends with its process if that was killed."""

    kind: str
    id: int
    process: int
    begun_at: float
    ended_at: float | None = None


class History:
    """All executions.

    Parameters
    ----------
    path : Path
        What the workers have written.
    killed : Mapping of int to float
        When processes were killed.
    """

    def __init__(self, path: Path, killed: Mapping[int, float] | None = None) -> None:
        self.runs: list[Run] = []
        open_runs: dict[tuple[int, int], Run] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            event, kind, number, process, thread, moment = line.split()
            place = (int(process), int(thread))
            if event == "begin":
                open_runs[place] = Run(kind, int(number), int(process), float(moment))
                self.runs.append(open_runs[place])
            else:
                open_runs.pop(place).ended_at = float(moment)
        for (process, _), run in open_runs.items():
            run.ended_at = (killed or {}).get(process)

    def counts(self) -> Counter[int]:
        """How often each job was begun."""
        return Counter(run.id for run in self.runs)

    def check_alone(self, groups: Mapping[int, str] | None = None) -> None:
        """Check that no two executions of one job, or of one group of jobs, were under way at once."""
        found: defaultdict[object, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[groups[run.id] if groups is not None and run.id in groups else run.id].append(run)
        for runs in found.values():
            runs.sort(key=lambda run: run.begun_at)
            for earlier, later in zip(runs, runs[1:]):
                assert earlier.ended_at is not None and earlier.ended_at <= later.begun_at, (earlier, later)

    def first_runs(self, numbers: Iterable[int]) -> list[int]:
        """Return jobs in the order in which they were first begun."""
        wanted = set(numbers)
        in_order = sorted(self.runs, key=lambda run: run.begun_at)
        return list(dict.fromkeys(run.id for run in in_order if run.id in wanted))

    def busiest(self, numbers: Iterable[int]) -> int:
        """Return how many of these jobs were under way at the same time, at most."""
        wanted = set(numbers)
        moments = []
        for run in self.runs:
            if run.id in wanted:
                moments += [(run.begun_at, 1), (run.ended_at, -1)]
        count = most = 0
        for _, change in sorted(moments):
            count += change
            most = max(most, count)
        return most
