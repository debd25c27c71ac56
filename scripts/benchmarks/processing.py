"""Images that are processed: the cost of a work item, and the pace of large ones."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import UnifiedProcedureStepPush, UnifiedProcedureStepWatch

from medserver.node import utc_now
from medserver.processing.performing import LARGE_INSTANCES
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of
from scripts.benchmarks import clients
from scripts.benchmarks.bare import AT_ONCE, bare_denoise, bare_reformat, ready
from scripts.benchmarks.candidates import MEDSERVER, Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from tests.peers import PeerFailed
from tests.peers.watcher import Watcher
from tests.processing import phantoms

CALLER = "PYNETDICOM"
"""An entry of config.ini that may use every service."""

ITEMS_MAX, ALONE, WARM = 300, 20, 4
PATIENCE_S = 300
ALL = "1.2.840.10008.5.1.4.34.5"
PUSH, WATCH = UnifiedProcedureStepPush, UnifiedProcedureStepWatch


class Items(Stage):
    """A server with many small images, and an AE that is told of all work items."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the time for each of many items, or the median of single ones, from the N-CREATE-RSP on [ms]."""
        with ExitStack() as stack:
            watcher = stack.enter_context(_Listener())
            running = self._started(stack, watcher)
            paths = self.material.study("MR").paths[: ITEMS_MAX + ALONE + WARM]
            clients.store(running.address, [paths])
            running.settle()
            asked = [_asked("copy", [dcmread(path, stop_before_pixels=True)]) for path in paths]
            peer = stack.enter_context(_associated(running))
            _act(peer, ALL, 3, WATCH, ReceivingAE=watcher.address.ae_title, DeletionLock="FALSE")
            for one in asked[:WARM]:  # the processes have started
                watcher.wait_for([_create(peer, one)])
            if cell.operation == "alone":
                return statistics.median(_alone_ms(peer, watcher, asked[WARM : WARM + ALONE]))
            asked = asked[WARM:]
            uids = [_create(peer, one) for one in asked[:1]]
            begin = time.perf_counter()
            uids += [_create(peer, one) for one in asked[1:]]
            watcher.wait_for(uids)
            return (max(watcher.completed[uid] for uid in uids) - begin) * 1000 / len(uids)

    def _started(self, stack: ExitStack, watcher: _Listener) -> Candidate:
        address = watcher.address
        settings = {f"ae {address.ae_title}.address": f"{address.host}:{address.port}"}
        return self.start(MEDSERVER, stack, settings=settings)


class Large(Stage):
    """A server with a CT series, and the same as files for a script."""

    def prepare(self, cells: list[Cell]) -> None:
        """Write the series, of as many slices as there are CT images."""
        self.folder.mkdir(parents=True, exist_ok=True)
        count = self.material.sizes.ct_images
        rng = np.random.default_rng(3)
        self._series = self.folder / "series"
        volume = (rng.integers(0, 4096, (512, 512)).astype(np.uint16) + np.uint16(number) for number in range(count))
        phantoms.write(
            self._series,
            (phantoms.ct_slice(pixels & np.uint16(4095), number, number) for number, pixels in enumerate(volume, 1)),
        )
        self._paths = sorted(self._series.iterdir())
        self._pool = self.stack.enter_context(multiprocessing.get_context("spawn").Pool(AT_ONCE))

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images in a second that are read."""
        for path in self._paths:
            path.read_bytes()
        if candidate != MEDSERVER:
            return self._bare(cell)
        with ExitStack() as stack:
            watcher = stack.enter_context(_Listener())
            address = watcher.address
            settings = {f"ae {address.ae_title}.address": f"{address.host}:{address.port}"}
            running = self.start(MEDSERVER, stack, settings=settings)
            clients.store(running.address, [self._paths])
            headers = [dcmread(path, stop_before_pixels=True) for path in self._paths]
            peer = stack.enter_context(_associated(running))
            _act(peer, ALL, 3, WATCH, ReceivingAE=address.ae_title, DeletionLock="FALSE")
            if len(headers) > LARGE_INSTANCES:  # the processes have started, as those of the script have
                watcher.wait_for([_create(peer, _asked(cell.operation, headers[: LARGE_INSTANCES + 1]))])
            running.settle()
            began_at = time.perf_counter()
            uid = _create(peer, _asked(cell.operation, headers))
            watcher.wait_for([uid])
            return len(headers) / (watcher.completed[uid] - began_at)

    def _bare(self, cell: Cell) -> float:
        self._pool.map(ready, range(AT_ONCE), chunksize=1)
        target = self.folder / f"bare-{next(self._numbers)}"
        target.mkdir()
        work = {"denoise": bare_denoise, "reformat": bare_reformat}[cell.operation]
        began_at = time.perf_counter()
        work(self._pool, self._paths, target)
        return len(self._paths) / (time.perf_counter() - began_at)


class _Listener(Watcher):
    """An AE that is told of all items, and when each was completed."""

    def __init__(self) -> None:
        self.completed: dict[str, float] = {}
        self._ended = threading.Condition()
        super().__init__("LISTENER", self._note)

    def _note(self, event: evt.Event) -> int:
        state = event.event_information.get("ProcedureStepState")
        if state in ("COMPLETED", "CANCELED"):
            with self._ended:
                self.completed[str(event.request.AffectedSOPInstanceUID)] = time.perf_counter()
                self._ended.notify_all()
        return 0x0000 if state != "CANCELED" else 0x0110

    def wait_for(self, uids: Sequence[str]) -> None:
        """Wait until these have ended."""
        with self._ended:
            if not self._ended.wait_for(lambda: all(uid in self.completed for uid in uids), PATIENCE_S):
                raise PeerFailed("not all work items have ended")


def _alone_ms(peer: Association, watcher: _Listener, asked: Sequence[Dataset]) -> Iterator[float]:
    for one in asked:
        uid = _create(peer, one)
        begin = time.perf_counter()
        watcher.wait_for([uid])
        yield (watcher.completed[uid] - begin) * 1000


@contextmanager
def _associated(running: Candidate) -> Iterator[Association]:
    ae = AE(CALLER)
    for context in (PUSH, WATCH):
        ae.add_requested_context(context)
    address = running.address
    association = ae.associate(address.host, address.port, ae_title=address.ae_title)
    if not association.is_established:
        raise PeerFailed("no association for work items")
    try:
        yield association
    finally:
        association.release()


def _asked(kind: str, headers: Sequence[Dataset]) -> Dataset:
    first = headers[0]
    named = tuple((one.SOPClassUID, one.SOPInstanceUID) for one in headers)
    reference = Reference(first.StudyInstanceUID, first.SeriesInstanceUID, named)
    return Dataset.from_json(attribute_list_of(ProcessingRequest(kind, {}, (reference,)), utc_now()))


def _create(peer: Association, attributes: Dataset) -> str:
    uid = generate_uid()
    while peer._is_paused:  # else its own thread takes the answer for a request, now and then
        time.sleep(0)
    answer, _ = peer.send_n_create(attributes, PUSH, uid)
    if answer.get("Status") not in (0x0000, 0xB300):
        raise PeerFailed(f"N-CREATE was answered {answer}")
    return str(uid)


def _act(peer: Association, uid: str, action: int, context: str, **information: object) -> None:
    given = Dataset()
    for keyword, value in information.items():
        setattr(given, keyword, value)
    answer, _ = peer.send_n_action(given, action, PUSH, uid, meta_uid=context)
    if answer.get("Status") != 0x0000:
        raise PeerFailed(f"N-ACTION was answered {answer}")
