"""The directory of a volume, and whether it is the one in which the objects lie: a mount point without its disk is an
empty directory, and looks like a new volume."""

from __future__ import annotations

from collections.abc import Callable

from medserver.errors import OutOfResources
from medserver.store import paths
from medserver.store.directory.durable import DurableDirectories
from medserver.store.files import Files
from medserver.store.journal.journal import ACTIVE, SEALED


class Root:
    """Tells whether something may be written. Costs one look at the directory each time.

    Parameters
    ----------
    volume : str
        Name of the volume.
    path : str
        Absolute path of the directory.
    journal_directory : str
        Absolute path of its journal.
    directories : DurableDirectories
        Makes it.
    files : Files
        The file system.
    expects_objects : callable, optional
        Tells whether objects should be there. If nobody knows, they should wherever there was a directory before that
        is gone.
    """

    def __init__(
        self,
        volume: str,
        path: str,
        journal_directory: str,
        directories: DurableDirectories,
        files: Files,
        expects_objects: Callable[[], bool] | None = None,
    ) -> None:
        self._volume = volume
        self._path = path
        self._journal_directory = journal_directory
        self._directories = directories
        self._files = files
        self._expects_objects = expects_objects
        self._identity: tuple[int, int] | None = None

    def require(self) -> None:
        """Make the directory if need be, unless it should be there with objects.

        Raises
        ------
        OutOfResources
            It should.
        OSError
            The file system failed.
        """
        before = self._identity
        identity = self._identity_now()
        if identity is not None and identity == before:
            return
        expected = before is not None if self._expects_objects is None else self._expects_objects()
        if expected and not self.holds_objects():
            raise OutOfResources(f"volume {self._volume} is away: there is no object in {self._path}")
        self._directories.forget()
        self._directories.ensure_root()
        self._identity = self._identity_now()

    def renew(self) -> None:
        """Make the directory anew: somebody wants a fresh start."""
        self._directories.renew_root()
        self._identity = self._identity_now()

    def holds_objects(self) -> bool:
        """Tell whether there is any object, in its place or in the journal; also if that cannot be found out."""
        try:
            return self._has_minutes() or self._has_segments()
        except OSError:
            return True

    def _has_minutes(self) -> bool:
        return any(paths.COMPONENTS[0].fullmatch(name) for name in self._names(self._path))

    def _has_segments(self) -> bool:
        return any(name.endswith((ACTIVE, SEALED)) for name in self._names(self._journal_directory))

    def _names(self, path: str) -> list[str]:
        try:
            return self._files.names(path)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _identity_now(self) -> tuple[int, int] | None:
        try:
            return self._files.identity(self._path)
        except FileNotFoundError:
            return None
