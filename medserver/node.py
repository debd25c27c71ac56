"""The record that is given to every operation: no globals, no singletons.

What is done with it is in `archive` and above.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from medserver import lock
from medserver.codecs import TranscodedCache, Transcoder, Workers
from medserver.config import Config, ConfigFile, VolumeOptions
from medserver.errors import MedserverError, StoreFailure
from medserver.index import Index, open_index
from medserver.index.nodes.exclusive import Held, exclusively
from medserver.queue import Queue, open_queue
from medserver.scu.idle import IdleAssociations
from medserver.store import DirectoryVolume, Volume
from medserver.volumes import VolumeWatch
from medserver.wire.pace import Paces

TRANSCODED = "transcoded"
"""The folder, in the data folder, of what is kept for those who want other transfer syntaxes."""

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Node:
    """What an operation works with.

    Parameters
    ----------
    config : ConfigFile
        The configuration; `config.current` is its newest valid state, to be read once an operation.
    index : Index
        What is stored, as rows.
    volumes : Mapping of str to Volume
        Where it is stored, by name, in the order in which an object is looked for. The first is the primary volume.
    transcoder : Transcoder
        Encodes and decodes pixels, in processes of which each starts when it is first needed.
    processors, large_processors : Workers
        Processes in which images are processed, and large amounts of them; each starts when it is first needed.
    queue : Queue
        Tells the workers that perform jobs of new ones; what is added to the index is told by itself.
    watch : VolumeWatch
        Tells the volumes which they have to be; a process that runs for long starts it.
    clock : callable
        Returns the present, aware, in UTC; that of the index.
    paces : Paces
        How fast this process sends to those remote AEs that have a limit.
    idle : IdleAssociations
        The associations that this process keeps open between batches; a worker does, see `medserver.work.runner`.
    held : ExitStack
        What is given back when the node is closed: the lock of the data folder.
    """

    config: ConfigFile
    index: Index
    volumes: Mapping[str, Volume]
    transcoder: Transcoder
    processors: Workers
    large_processors: Workers
    queue: Queue
    watch: VolumeWatch
    clock: Callable[[], datetime] = utc_now
    paces: Paces = field(default_factory=Paces)
    idle: IdleAssociations = field(default_factory=IdleAssociations)
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def primary_volume(self) -> Volume:
        """The volume to which goes what is received."""
        return next(iter(self.volumes.values()))

    @property
    def replica_names(self) -> tuple[str, ...]:
        """The volumes that are to have a copy of every object: all but the primary."""
        return tuple(self.volumes)[1:]

    def volume(self, name: str) -> Volume:
        """Return a volume by its name.

        Raises
        ------
        StoreFailure
            The configuration does not have it any more.
        """
        try:
            return self.volumes[name]
        except KeyError:
            raise StoreFailure(f"volume {name} is not configured") from None

    def close(self) -> None:
        """End the workers, close the index and give up the temporary files of this process.

        Raises
        ------
        StoreFailure
            The primary volume cannot be closed. Of another one that is logged.
        """
        self.watch.stop()
        self.idle.close()
        with ExitStack() as stack:
            stack.push(self.held)
            stack.callback(self.transcoder.workers.close)
            stack.callback(self.processors.close)
            stack.callback(self.large_processors.close)
            stack.callback(self.index.close)
            stack.callback(self.queue.close)
            for volume in self.volumes.values():
                stack.callback(self._close, volume)

    def _close(self, volume: Volume) -> None:
        try:
            volume.close()
        except MedserverError as error:
            if volume is self.primary_volume:
                raise
            logger.warning("volume %s: %s", volume.name, error)


def open_node(
    config_file: ConfigFile,
    *,
    receives: bool = False,
    forks: bool = False,
    index_url: str | None = None,
    clock: Callable[[], datetime] | None = None,
    lock_owner: str | None = None,
    is_copy: bool = False,
) -> Node:
    """Open what the configuration names; nobody makes a new index of it before it is closed.

    Parameters
    ----------
    config_file : ConfigFile
        What config.ini says.
    receives : bool
        Whether this process receives objects: they are then made durable in a journal, and the process calls
        `Volume.maintain` now and then.
    forks : bool
        Whether this process will fork: then it makes no request of a bucket.
    index_url : str, optional
        Another index than that of the configuration.
    clock : callable, optional
        See `Node`; default: that of the database.
    lock_owner : str, optional
        Who has the locks of the index and the data folder, if the caller has them: see `exclusively`.
    is_copy : bool
        As for `migrate`.

    Raises
    ------
    IndexFailure
        The index cannot be opened.
    IndexLocked, BadUsage
        It is rebuilt, restored or migrated, by this node or another one, or has to be while others use it.
    StoreFailure
        The volumes belong to several archives.
    """
    config = config_file.current
    with ExitStack() as stack:
        if lock_owner is None:
            stack.enter_context(lock.shared(config.node.data))
        index = open_index(
            index_url or config.index.url,
            base=config.node.data,
            clock=clock,
            volumes=[volume.name for volume in config.volumes_to_read],
            owner=lock_owner or "",
            is_copy=is_copy,
        )
        volumes = {volume.name: volume for volume in open_volumes(config, receives=receives)}
        watch = VolumeWatch(index, volumes, local=forks or receives)
        try:
            watch.look()
            queue = open_queue(config.jobs.url, index)
        except BaseException:
            index.close()
            raise
        index.jobs.listener = queue.wake
        processors = {"processors": _processors(config), "large_processors": _processors(config)}
        processes = {"transcoder": _transcoder(config), **processors}
        held = stack.pop_all()
        return Node(config_file, index, volumes, **processes, queue=queue, watch=watch, clock=index.clock, held=held)


@contextmanager
def exclusive_node(
    config: Config, work: str, clock: Callable[[], datetime] | None = None
) -> Iterator[Held]:
    """Keep this node from running, and everybody on other hosts from writing to its index, for what is done inside.

    Raises as `lock.exclusive` and `exclusively`.
    """
    with lock.exclusive(config.node.data), exclusively(config.index.url, config.node.data, work, clock) as held:
        yield held


def _transcoder(config: Config) -> Transcoder:
    """Make what transcodes; the processes of this machine share what they remember."""
    size_max_bytes = config.store.transcoded_max_bytes
    cache = TranscodedCache(config.node.data / TRANSCODED, size_max_bytes) if size_max_bytes else None
    return Transcoder(Workers(), cache)


def _processors(config: Config) -> Workers:
    """Make the processes that images are processed in, one for each core. Large items have some of their own."""
    limits = config.limits
    count = len(os.sched_getaffinity(0))
    return Workers(count, limits.processing_memory_max_bytes, limits.processing_time_max_s)


def open_volumes(config: Config, *, receives: bool = False) -> list[Volume]:
    """Make what the configuration names, in the order of reading; `receives` is that of `open_node`.

    Nothing is connected here: a volume that cannot be reached fails when it is used.
    """
    return [open_volume(volume, journaled=receives and volume.role == "primary") for volume in config.volumes_to_read]


def open_volume(volume: VolumeOptions, *, journaled: bool = False) -> Volume:
    """Make one volume; `journaled` says that this process receives objects for it."""
    if volume.path is None:
        from medserver.store.bucket.volume import BucketVolume, Place

        place = Place(str(volume.url), volume.endpoint, volume.region, volume.credentials)
        return BucketVolume(volume.name, place)
    return DirectoryVolume(volume.name, volume.path, free_min_bytes=volume.free_min_bytes, journaled=journaled)
