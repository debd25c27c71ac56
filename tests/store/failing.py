"""A file system of which chosen calls fail."""

from __future__ import annotations

import os

from medserver.store.files import Files

CALLS = tuple(name for name in vars(Files) if not name.startswith("_"))
GIVING = ("create", "open", "open_alone", "open_directory", "lock", "identity")
"""Calls that give something, which is not given if they fail."""


class FailingFiles(Files):
    """The real file system, except for the k-th call.

    Parameters
    ----------
    fail_at : int or None
        Number of the call that fails, from 0. None: none does.
    error_number : int
        The errno it fails with.
    persistent : bool
        All later calls fail as well.
    after : bool
        The call does its work and then fails, as a flush may.
    """

    def __init__(self, fail_at=None, error_number=0, *, persistent=False, after=False):
        self.fail_at, self.error_number = fail_at, error_number
        self.persistent, self.after = persistent, after
        self.calls = []
        self.open_descriptors = set()

    def _fails(self):
        number = len(self.calls) - 1
        if self.fail_at is None:
            return False
        return number == self.fail_at or (self.persistent and number > self.fail_at)


def _wrapped(name):
    def call(self, *arguments, **keywords):
        self.calls.append(name)
        fails = self._fails()
        if fails and name == "close":  # the descriptor is gone all the same
            Files.close(self, *arguments)
        elif fails and self.after and name not in GIVING:
            getattr(Files, name)(self, *arguments, **keywords)
        if fails:
            self.open_descriptors.difference_update(arguments if name == "close" else ())
            raise OSError(self.error_number, os.strerror(self.error_number))
        outcome = getattr(Files, name)(self, *arguments, **keywords)
        if name in ("create", "open", "open_alone", "lock"):
            self.open_descriptors.add(outcome)
        if name == "close":
            self.open_descriptors.discard(arguments[0])
        return outcome

    return call


for _name in CALLS:
    setattr(FailingFiles, _name, _wrapped(_name))


def calls_that_are_made(work) -> list[str]:
    """Call `work` with files that do not fail; return the calls that it made."""
    files = FailingFiles()
    work(files)
    return files.calls
