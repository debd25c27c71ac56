"""Some frames of a stored instance, as a new instance that is made when it is asked for (PS3.4 Y.3.3).

It is sent and forgotten, never stored: asked for again, it is made again, and is the same. What becomes of its
attributes and its pixels is in `codecs.frames`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from medserver import __version__, codecs
from medserver.archive.fetch import open_parts
from medserver.dicom.contributing_equipment import MANUFACTURER
from medserver.dicom.frame_lists import FrameKeys
from medserver.errors import NoSuchFrames
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.scu.storage import Outgoing


@contextmanager
def extract_frames(node: Node, stored: StoredCopy, keys: FrameKeys) -> Iterator[tuple[codecs.Transcoded, str]]:
    """Make a new instance of some frames of a stored one.

    Parameters
    ----------
    node : Node
        Where it is stored.
    stored : StoredCopy
        Which one, as the index tells.
    keys : FrameKeys
        The frames.

    Yields
    ------
    tuple of (Transcoded, str)
        The data set in the transfer syntax of the stored object, which is gone when the context is left; and its SOP
        Instance UID, which the same instance, stored as the same object, and the same keys always give.

    Raises
    ------
    NotMultiFrame, NoSuchFrames, NoFrameTimes, CannotTranscode, TransferSyntaxNotSupported, OutOfResources
        As `codecs.extract_frames` does.
    DamagedObject, StoreFailure
        The object cannot be read.
    """
    equipment = {
        "Manufacturer": MANUFACTURER,  # Type 1 (PS3.3 C.12.1)
        "ManufacturerModelName": MANUFACTURER,
        "StationName": node.config.current.node.ae_title,
        "SoftwareVersions": __version__,
    }
    with (
        open_parts(node, stored) as source,
        codecs.extract_frames(
            source,
            stored.size_bytes,
            stored.transfer_syntax_uid,
            keys,
            stored.digest,
            equipment,
            node.transcoder.workers,
            node.transcoder.directory,
        ) as extracted,
    ):
        yield extracted


class ExtractedFrames:
    """The new instance in the place of the stored one, for who sends instances: see `ReadAhead`, whose face it has.

    Used by one thread, in a ``with`` block, which makes the instance.

    Parameters
    ----------
    node : Node
        Where the instance is stored.
    instances : iterable of StoredCopy
        The instance.
    keys : FrameKeys
        The frames.

    Raises
    ------
    NoSuchFrames
        There is no such instance; in the ``with`` statement, as is what `extract_frames` raises.
    """

    def __init__(self, node: Node, instances: Iterable[StoredCopy], keys: FrameKeys) -> None:
        self._node = node
        self._instances = instances
        self._keys = keys
        self._files = ExitStack()
        self._extracted: codecs.Transcoded | None = None
        self._instance: StoredCopy | None = None

    def __enter__(self) -> ExtractedFrames:
        stored = next(iter(self._instances), None)
        if stored is None:
            raise NoSuchFrames("the instance is not in the archive")
        extracted, uid = self._files.enter_context(extract_frames(self._node, stored, self._keys))
        self._extracted = extracted
        self._instance = dataclasses.replace(stored, sop_instance_uid=uid, size_bytes=extracted.size_bytes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.close()

    def __iter__(self) -> Iterator[StoredCopy]:
        yield self._instance

    def outgoing(self, instance: StoredCopy) -> Outgoing:
        """Return the new instance as something to send."""
        return Outgoing(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            instance.size_bytes,
            self._extracted.open,
        )
