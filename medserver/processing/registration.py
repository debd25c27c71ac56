"""What a task makes is taken in while it is made, and entered at the end.

========  ==========================  ======================================================================
output    event                       becomes
========  ==========================  ======================================================================
made      it has its name             staged: checked, copied to the volume, flushed; nobody finds it
staged    all are made                registered: it has its path and its row
staged    an error, a cancel, a kill  nothing: its bytes are removed, if not now by the next process
========  ==========================  ======================================================================

So what has failed or was cancelled while it was computed leaves nothing, and little is left to do at the end: the bytes
are on stable storage. Where the primary volume is remote outputs are registered when all are made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from medserver import archive
from medserver.archive import Reception
from medserver.crash import crash_point
from medserver.dicom.part10 import read_file_meta
from medserver.errors import NotPart10, ObjectNotReadable, RequestError, TransferSyntaxNotSupported
from medserver.index.derivations import DerivedInstance
from medserver.node import Node
from medserver.processing.outputs import Check, OutputIsAnother

STAGED_AT_ONCE = 4
"""So many are staged at a time, while others are computed."""

REGISTERED_AT_ONCE = 16
"""So many are registered at a time: what has to be flushed for them is flushed together."""

STAGED_MAX = 4000
"""So many are staged; of more the rest is copied at the end. What is known of each takes some kilobytes."""

BLOCK_BYTES = 1024 * 1024

Staged = tuple[DerivedInstance, Reception]


class Registration:
    """Takes in the outputs of one work item. To be used in a ``with`` block: what was not registered is removed.

    Parameters
    ----------
    node : Node
        Where they are registered.
    folder : Path
        The folder into which Part 10 files ``*.dcm`` are written; everything else that is in it is passed over.
    inputs : iterable of DerivedInstance
        What they are made of.
    check_wanted : callable
        Called before each one; raises WorkStopped when nobody wants it any longer. Threads share it.
    may_take : bool
        Whether the files may become the objects: who has made them has none of them open.
    """

    def __init__(
        self,
        node: Node,
        folder: Path,
        inputs: Iterable[DerivedInstance],
        check_wanted: Callable[[], None],
        *,
        may_take: bool = False,
    ) -> None:
        self._node = node
        self._folder = folder
        self._check = Check(inputs)
        self._check_wanted = check_wanted
        self._may_take = may_take
        self._staged: dict[Path, Future[Staged]] = {}
        self._pool = ThreadPoolExecutor(STAGED_AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        for each in self._staged.values():
            if not each.cancelled() and each.exception() is None:
                each.result()[1].abandon()

    def look(self) -> None:
        """Have what was made since the last look staged.

        Raises
        ------
        Exception
            What has gone wrong with one, see `register`.
        """
        if self._node.primary_volume.is_remote:
            return
        for path in self._made():
            if len(self._staged) < STAGED_MAX and path not in self._staged:
                self._staged[path] = self._pool.submit(self._stage, path)
        for each in list(self._staged.values()):
            if each.done() and (error := each.exception()):
                raise error

    def register(self) -> list[DerivedInstance]:
        """Register all that was made, in the order of their names.

        Returns
        -------
        list of DerivedInstance
            What was registered, or was registered before.

        Raises
        ------
        ObjectNotReadable
            One is no instance of the same study with UIDs of its own, see `OutputIsAnother` too. Nothing is registered,
            unless that is found when others were, which were not staged.
        OutOfResources, StoreFailure, IndexFailure
            One could not be made durable, or entered.
        WorkStopped
            Nobody wants it any longer. What was registered before stays.
        """
        if len(self._made()) + len(self._staged) > 1:  # nobody finds one before all are what they should be
            self.look()
            for each in self._staged.values():
                self._check_free(*each.result())
        paths = sorted({*self._made(), *self._staged})
        if len(paths) == 1:
            return [self._register(paths[0])]
        with ThreadPoolExecutor(max(1, min(REGISTERED_AT_ONCE, len(paths)))) as pool:
            try:
                return list(pool.map(self._register, paths))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _made(self) -> list[Path]:
        """Return the files that are complete and not yet staged."""
        return [path for path in self._folder.rglob("*.dcm") if path.is_file() and not path.is_symlink()]

    def _stage(self, path: Path) -> Staged:
        self._check_wanted()
        made, reception = self._received(path)
        try:
            reception.prepare()
            path.unlink(missing_ok=True)  # it was taken
        except BaseException:
            reception.abandon()
            raise
        crash_point("output staged")
        return made, reception

    def _register(self, path: Path) -> DerivedInstance:
        self._check_wanted()
        is_staged = path in self._staged
        made, reception = self._staged[path].result() if is_staged else self._received(path)
        try:
            with reception:
                if not is_staged:
                    self._check_free(made, reception)
                outcome = reception.commit()
        except RequestError as error:
            raise ObjectNotReadable(f"output {path.name}: {error}") from error
        if outcome == "kept":  # and not found under its UID, for something else is
            raise OutputIsAnother(f"output {made.sop_instance_uid}: another instance has its UID")
        crash_point("output registered")
        return made

    def _check_free(self, made: DerivedInstance, reception: Reception) -> None:
        """Raise OutputIsAnother if another object has the UID, and keeps it."""
        if self._node.config.current.store.duplicates != "replace" and reception.is_another():
            raise OutputIsAnother(f"output {made.sop_instance_uid}: another instance has its UID")

    def _received(self, path: Path) -> Staged:
        """Read a file, of which nothing is kept unless its reception is committed."""
        config = self._node.config.current
        ae_title = config.node.ae_title
        try:
            with path.open("rb") as file:
                meta = read_file_meta(file)
                file.seek(meta.data_set_offset)
                reception = archive.receive(
                    self._node,
                    sop_class_uid=meta.sop_class_uid,
                    sop_instance_uid=meta.sop_instance_uid,
                    transfer_syntax_uid=meta.transfer_syntax_uid,
                    calling_ae_title=ae_title,
                    compress_to=config.compress_to_of(ae_title),
                    file=archive.HeldFile(os.path.abspath(path), meta.data_set_offset) if self._may_take else None,
                )
                try:
                    while block := file.read(BLOCK_BYTES):
                        reception.write(block)
                    return self._check.of(meta, reception.header()), reception
                except BaseException:
                    reception.abandon()
                    raise
        except (NotPart10, RequestError, TransferSyntaxNotSupported) as error:
            raise ObjectNotReadable(f"output {path.name}: {error}") from error
