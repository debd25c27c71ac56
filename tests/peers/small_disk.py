"""A file system of a few megabytes, to see what happens when it is full."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.peers.process import wait_until

FILLER = "filler"


class SmallDisk:
    """A tmpfs: `fill` it, `free` it again, and `close` it at the end.

    Parameters
    ----------
    path : Path
        Where it is mounted; the folder is made.
    size_bytes : int
        How much it holds.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", path], check=True)

    @property
    def free_bytes(self) -> int:
        """How much can still be written, int."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, left_bytes: int = 0) -> None:
        """Take what is free, but for so many bytes; a program that writes meanwhile may be quicker, then once more."""
        with (self.path / FILLER).open("ab") as file:
            wait_until(lambda: self._take(file.fileno(), left_bytes), what="space that nobody else takes first")

    def _take(self, filler: int, left_bytes: int) -> bool:
        size_bytes = os.fstat(filler).st_size + max(self.free_bytes - left_bytes, 0)
        try:
            os.posix_fallocate(filler, 0, max(size_bytes, 1))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def release(self) -> None:
        """Give back what `fill` took."""
        (self.path / FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away, also from under those who still have files open."""
        subprocess.run(["umount", "--lazy", self.path], check=True)


def requires_mount() -> None:
    """Skip the running test for a user who cannot mount; in continuous integration (CI=true) fail it."""
    if os.geteuid() == 0:
        return
    reason = "only root can mount a small file system"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
