"""A file system in which those who flush the same directory at the same time share a flush."""

from __future__ import annotations

from typing import Any

from medserver.group_commit import GroupCommit, Task
from medserver.store.files import Files

TASKS_MAX = 256


class _Flush(Task):
    """A directory whose names a thread wants to have on stable storage."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class SharedFlushes:
    """`Files`, but for the flushes of directories: whoever comes while one is under way shares the next one.

    Parameters
    ----------
    files : Files
        The file system.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._group: GroupCommit[_Flush] = GroupCommit(self._flush_all, TASKS_MAX)

    def flush_directory(self, path: str) -> None:
        """Bring the names in a directory to stable storage, those of other threads too.

        Raises
        ------
        OSError
            They are not there.
        """
        self._group.run(_Flush(path))

    def _flush_all(self, tasks: list[_Flush]) -> None:
        for path in dict.fromkeys(task.path for task in tasks):
            try:
                self._files.flush_directory(path)
            except OSError as error:  # a flush that failed is never tried a second time: all of them fail
                for task in tasks:
                    if task.path == path:
                        task.failure = error

    def __getattr__(self, name: str) -> Any:
        """Return what `Files` has."""
        return getattr(self._files, name)
