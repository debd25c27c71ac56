"""Which of the configured volumes belong to this archive: their markers and the index are brought together.

A volume is recorded in the index, then it gets its marker, once:

* all volumes of a new archive: the index has no object, the directories are empty or not there;
* a volume of an older version, which had no markers: most of a sample of the objects that the index has there are found
  on it. If the index is lost too, every volume that holds objects;
* a volume that an administrator adds (`add`), or that takes the place of a lost one (`replace`).

A volume that has a marker of this archive and is not recorded (the index is older, or new) is recorded. Anything else
that lies where a volume should be is never touched.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import islice

from medserver.errors import BadUsage, MedserverError, OutOfResources, StoreFailure
from medserver.index import GOOD, Index, RecordedVolume, StoredCopy
from medserver.store import Marker, Volume

INTERVAL_S = 1.0
"""So often a process that runs looks whether its volumes are still there, attached, and the same."""

SAMPLE_MAX = 32
"""How many objects are looked for on a volume of an older version."""

logger = logging.getLogger(__name__)


class VolumeWatch:
    """Keeps the volumes of a process at what the index says of them.

    Parameters
    ----------
    index : Index
        Where the volumes are recorded.
    volumes : Mapping of str to Volume
        Those of the configuration.
    local : bool
        Whether to leave it to other processes to ask what is remote for its marker.
    """

    def __init__(self, index: Index, volumes: Mapping[str, Volume], *, local: bool = False) -> None:
        self._index = index
        self._volumes = volumes
        self._local = local
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look now and then, in a thread: a file system that hangs holds up nobody else."""
        self._thread = threading.Thread(target=self._run, name="volumes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(INTERVAL_S)

    def look(self) -> dict[str, str]:
        """Record what is new, and say to each volume which one it has to be.

        Returns
        -------
        dict of str to str
            Volume -> what an administrator has to do about it.

        Raises
        ------
        StoreFailure
            Nothing is recorded, and the volumes are of several archives.
        IndexFailure
            The index does not tell.
        """
        recorded = self._index.volumes.all()
        unknown = [one for one in self._volumes.values() if one.name not in recorded and self._may_ask(one)]
        if unknown:
            self._index.volumes.add(_recognised(self._index, unknown, recorded.values()))
            recorded = self._index.volumes.all()
        problems: dict[str, str] = {}
        archive_uuid = next((one.archive_uuid for one in recorded.values()), "")
        for volume in self._volumes.values():
            row = recorded.get(volume.name)
            if row is None:
                volume.attach(Marker("", archive_uuid))  # nothing has that
                problems[volume.name] = f"it is no volume of this archive yet: medserver store add {volume.name}"
            elif row.detached:
                volume.detach(f"it is detached (to take it again: medserver store attach {volume.name})")
            else:
                if not row.marked and self._may_ask(volume):
                    try:
                        make_marker(self._index, volume, row)
                    except (StoreFailure, OutOfResources) as error:
                        problems[volume.name] = str(error)
                volume.attach(Marker(row.volume_uuid, row.archive_uuid))
        return problems

    def _may_ask(self, volume: Volume) -> bool:
        return not (self._local and volume.is_remote)

    def _run(self) -> None:
        known: dict[str, str] = {}
        while not self._stopping.wait(INTERVAL_S):
            try:
                problems = self.look()
            except StoreFailure as error:
                problems = {"": str(error)}
            except MedserverError:  # the index is away: then everybody else says so
                continue
            for name in problems.keys() - known.keys():
                logger.error("volume %s: %s", name, problems[name])
            known = problems
            for volume in self._volumes.values():
                volume.look()


def make_marker(index: Index, volume: Volume, row: RecordedVolume) -> None:
    """Make the marker of a recorded volume.

    Raises
    ------
    OutOfResources, StoreFailure
        It cannot be made now.
    """
    volume.mark(Marker(row.volume_uuid, row.archive_uuid))
    index.volumes.note_marked(row.name, row.volume_uuid)


def add(index: Index, volume: Volume) -> RecordedVolume:
    """Record a volume that is to be filled, and return it; its marker is made now, or when it can be.

    Raises
    ------
    BadUsage
        It is missed, or another one.
    """
    recorded = index.volumes.all()
    if volume.name not in recorded:
        marker = _marker(volume)
        if marker is not None:
            uuid = marker.volume_uuid
            known = next((name for name, row in recorded.items() if row.volume_uuid == uuid), None)
            which = f"the volume {known} of this archive" if known else f"{uuid}, which the index does not know"
            raise BadUsage(f"what is there has a marker already: it is {which}; give the path of an empty directory")
        if index.upkeep.has_good_objects(volume.name):
            raise BadUsage(
                f"the index has objects on the volume {volume.name}, which are not there: mount its disk, or, if that "
                f"is lost, put an empty one in its place and run: medserver store replicate {volume.name} --anew"
            )
        index.volumes.add([_new(volume.name, recorded.values())])
        index.volumes.note_missed_notes(volume.name)
    return index.volumes.all()[volume.name]


def replace(index: Index, volume: Volume) -> None:
    """Record what is there now, which holds nothing, in the place of a volume that is lost.

    Should the lost one come back it is another volume.

    Raises
    ------
    OutOfResources, StoreFailure
        The marker cannot be made, or it is a volume of another archive.
    """
    recorded = index.volumes.all()
    row, marker = _new(volume.name, recorded.values()), volume.marker()
    if marker is not None:  # of an attempt that was interrupted
        if marker.archive_uuid != row.archive_uuid or marker.volume_uuid in {
            one.volume_uuid for one in recorded.values() if one.name != volume.name
        }:
            raise StoreFailure(f"what is in the place of {volume.name} is another volume: {marker.volume_uuid}")
        row = RecordedVolume(volume.name, marker.volume_uuid, marker.archive_uuid)
    index.volumes.replace(row)
    index.volumes.note_missed_notes(row.name)
    make_marker(index, volume, row)
    volume.attach(Marker(row.volume_uuid, row.archive_uuid))


def record_present(index: Index, volumes: Iterable[Volume]) -> None:
    """Believe the markers of this archive though others are recorded: the index has come out of a backup, or an
    administrator has said so."""
    for volume in volumes:
        recorded = index.volumes.all()
        row, marker = recorded.get(volume.name), _marker(volume)
        if row is None or marker is None or marker.archive_uuid != row.archive_uuid:
            continue
        if marker.volume_uuid not in {one.volume_uuid for one in recorded.values()}:
            index.volumes.replace(RecordedVolume(volume.name, marker.volume_uuid, marker.archive_uuid, True))
            index.volumes.note_missed_notes(row.name)
            index.upkeep.forget_verified(row.name)  # what was read lay on the other one
            volume.attach(marker)


def _recognised(
    index: Index, unknown: Iterable[Volume], recorded: Iterable[RecordedVolume]
) -> list[RecordedVolume]:
    """Return the volumes that belong to the archive though nobody has recorded them yet."""
    markers = {volume.name: (volume, _marker(volume)) for volume in unknown}
    marked = {name: marker for name, (_, marker) in markers.items() if marker is not None}
    archives = {one.archive_uuid for one in recorded} or {marker.archive_uuid for marker in marked.values()}
    if len(archives) > 1:
        names = ", ".join(f"{name} ({marker.archive_uuid})" for name, marker in marked.items())
        raise StoreFailure(f"these volumes belong to different archives: {names}: leave one archive in config.ini")
    found = [
        RecordedVolume(name, marker.volume_uuid, marker.archive_uuid, True)
        for name, marker in marked.items()
        if marker.archive_uuid in archives
    ]
    without = [volume for volume, marker in markers.values() if marker is None]
    if next(index.locations(), None) is not None:
        founded = [volume for volume in without if _holds_sample(index, volume)]
    else:
        founded = [] if archives else _of_new_archive(without)
    for volume in founded:
        found.append(_new(volume.name, found or recorded))
    return found


def _of_new_archive(volumes: list[Volume]) -> list[Volume]:
    """Return those volumes that hold objects, of an older version whose index is lost; if none does, all."""
    holding = {volume.name: _holds_objects(volume) for volume in volumes}
    return [volume for volume in volumes if holding[volume.name]] or volumes


def _holds_objects(volume: Volume) -> bool:
    with closing(volume.unproved()) as unproved:
        try:
            return next(unproved.walk(), None) is not None
        except (StoreFailure, OutOfResources):
            return False


def _holds_sample(index: Index, volume: Volume) -> bool:
    """Tell whether most objects of a sample of those that the index has on a volume are there."""
    here: dict[str, StoredCopy] = {}
    first = islice(index.locations((volume.name, "")), SAMPLE_MAX)
    for one in (*first, *index.upkeep.sample([random.random() for _ in range(SAMPLE_MAX)], volume.name)):
        if one.volume == volume.name and one.state == GOOD:
            here[one.path] = one
    with closing(volume.unproved()) as unproved:
        found = sum(_is_there(unproved, one) for one in here.values())
    return bool(here) and 2 * found > len(here)


def _is_there(volume: Volume, location: StoredCopy) -> bool:
    try:
        return volume.stat(location.path).size_bytes == location.file_size_bytes
    except (StoreFailure, OutOfResources):
        return False


def _marker(volume: Volume) -> Marker | None:
    """Return the marker that is there; None also if that cannot be found out now."""
    try:
        return volume.marker()
    except (StoreFailure, OutOfResources):
        return None


def _new(name: str, others: Iterable[RecordedVolume]) -> RecordedVolume:
    """Return a volume of the archive of the others, which is new if there are none."""
    marker = Marker.new(next((one.archive_uuid for one in others), None))
    return RecordedVolume(name, marker.volume_uuid, marker.archive_uuid)
