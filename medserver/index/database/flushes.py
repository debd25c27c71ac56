"""What was committed outlives the machine: those who wait for that at the same moment share one flush of the log."""

from __future__ import annotations

from medserver.errors import IndexFailure
from medserver.group_commit import Closed, GroupCommit, Task
from medserver.index.database.backend import Backend

TASKS_MAX = 1024


class Flushes:
    """The flushes of one process.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._group: GroupCommit[Task] = GroupCommit(self._flush_for_all, TASKS_MAX)

    def flush(self) -> None:
        """Let everything that was committed before outlive the machine.

        Raises
        ------
        IndexFailure
            The disk failed: what was committed is there now, and may be gone after a power cut.
        """
        try:
            self._group.run(Task())
        except Closed:
            raise IndexFailure("index: it is closed") from None
        except OSError as error:
            raise IndexFailure(f"index: {error}") from error

    def close(self) -> None:
        """Wait for flushes that are under way, and refuse others."""
        self._group.close(Task())

    def _flush_for_all(self, tasks: list[Task]) -> None:
        """Flush once: who comes while that goes on waits for the next, which covers what he has committed."""
        self._backend.flush()
