"""An index is made of a backup, completed from the volumes, and put in the place of the present one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from medserver.archive import Finding
from medserver.backups.catalog import Backup
from medserver.backups.replay import replay
from medserver.backups.verification import unpack_verified
from medserver.backups.workspace import workspace
from medserver.config import Config, ConfigFile
from medserver.errors import BadUsage
from medserver.index import Counts, Staged, known_migrations, open_backend
from medserver.index.database.backend import Backend
from medserver.index.nodes.exclusive import Held
from medserver.node import Node, open_node, utc_now
from medserver.store.failures import translating

Begin = Callable[[int], Callable[[int], None]]


@dataclass
class Restoration:
    """What a restore did.

    Parameters
    ----------
    before, after : Counts or None
        How much the backup held, and how much there is with what the volumes had besides.
    kept : str or None
        Where the index that was there is kept.
    findings : list of Finding
        See `replay`.
    """

    before: Counts | None = None
    after: Counts | None = None
    kept: str | None = None
    findings: list[Finding] = field(default_factory=list)


def restore(
    config_file: ConfigFile,
    backup: Backup,
    begin: Begin = lambda expected: lambda count: None,
    *,
    held: Held | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Restoration:
    """Bring a backup back. The node must not run, and nobody else write: see `exclusive_node`.

    When this is interrupted it can be called again. An index on SQLite is the present one until the new one is
    complete; on PostgreSQL the tables of the present one are in another schema from the beginning.

    Parameters
    ----------
    config_file : ConfigFile
        Where the index is.
    backup : Backup
        What is brought back.
    begin : callable
        Called with about how many files the replay will look at; returns what is called with how many are done.
    held : Held
        The lock of the index, which the caller has.
    clock : callable, optional
        As for `open_node`.

    Raises
    ------
    DamagedObject
        The backup is not what was written; nothing was changed.
    BadUsage
        It is one of another database, or was made by a newer version of this program.
    OutOfResources, StoreFailure, IndexFailure
        A volume or the index does not work.
    """
    config = config_file.current
    backend = open_backend(config.index.url, config.node.data)
    _check_version(backup)
    done = Restoration()
    held = held or Held()
    name = f"replaced_{(clock or utc_now)():%Y%m%d%H%M%S}_{secrets.token_hex(2)}"
    with _room(config, backend, backup) as file:
        unpack_verified(backend, backup, file)
        staged = _stage(backend, file, name, held)
        opened = open_node(config_file, index_url=staged.url, clock=clock, lock_owner=held.owner, is_copy=True)
        with closing(opened) as node:
            _replay(node, backup, begin, done)
        if backend.staging is not None:
            held.pass_on(open_backend(staged.url, config.node.data))
        done.kept = _take_the_place(backend, staged, name)
    held.is_incomplete = False
    return done


def _check_version(backup: Backup) -> None:
    unknown = [name for name in backup.require_manifest().migrations if name not in known_migrations()]
    if unknown:
        raise BadUsage(f"backup {backup.name} was made by a newer version: unknown migration {', '.join(unknown)}")


@contextmanager
def _room(config: Config, backend: Backend, backup: Backup) -> Iterator[Path]:
    """Give the file into which the backup is unpacked."""
    with workspace(config, backup.require_manifest().dump_size_bytes) as file:
        if backend.staging is None:
            yield file
            return
        backend.discard_staged()
        try:
            yield backend.staging
        finally:
            backend.discard_staged()


def _stage(backend: Backend, file: Path, name: str, held: Held) -> Staged:
    """Make an index of the dump; where its tables take their place before they are complete, that is noted before."""
    was_incomplete = held.is_incomplete
    if backend.staging is None:
        held.spoil()
    try:
        with _translating(backend):
            return backend.stage(file, name)
    except BaseException:
        held.is_incomplete = was_incomplete  # the tables are where they were
        raise


def _replay(node: Node, backup: Backup, begin: Begin, done: Restoration) -> None:
    done.before = node.index.counts()
    advance = begin(done.before.locations)
    done.findings.extend(replay(node, backup.require_manifest().made_at, advance))
    done.after = node.index.counts()


def _take_the_place(backend: Backend, staged: Staged, name: str) -> str | None:
    with translating("put the index in its place"), _translating(backend):
        return backend.take_the_place(staged, name)


@contextmanager
def _translating(backend: Backend) -> Iterator[None]:
    try:
        yield
    except backend.errors as error:
        raise backend.failure(error) from error
