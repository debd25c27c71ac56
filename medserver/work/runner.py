"""The worker: it claims jobs, runs them, and offers again what others have left.

Some threads run the jobs of this node; what is done for remote AEs has threads of its own, see `slots`, and so has what
computes for long. One tends: it
extends leases, takes back those that have run out, adds what comes periodically and looks which lanes are due. One
receives the messages of the queue, which make it quick: a job that was just added starts after milliseconds, and not
with the next sweep.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from medserver.destinations import MAKE_ROOM, PAUSE_MAX_S, make_room
from medserver.errors import MedserverError
from medserver.host import this_process
from medserver.index import Lane, LaneState, NewJob
from medserver.log import Event
from medserver.node import Node
from medserver.work.alone import Alone
from medserver.work.kinds import JOB_KINDS, PERIODIC, JobKind, Periodic
from medserver.work.lanes import HotLanes
from medserver.work.leases import Leases
from medserver.work.owner import is_dead, new_owner
from medserver.work.performance import Performance
from medserver.work.slots import Slots

REMOVE_UNFINISHED_INTERVAL_S = 1.0
PAUSE_MIN_S = 0.005
TURN_S = 30.0
"""So long a batch goes on when others of its kind wait for room within its limit; then it gives way."""

BATCH_INTERVAL_S = 0.025
"""So far apart begin batches for a remote AE while what they do still comes in. Whoever is quick claims two or three
images of a study at a time, and each claim keeps those who receive the next ones from the index for a moment. With
some ten at a time a CT or MR study that is received and sent on costs 8 to 10 % less processor time."""

CAP_INTERVAL_S = 5.0
"""How often is looked for moments that lie too far off, see `medserver.index.jobs.waits`."""

logger = logging.getLogger(__name__)


class Runner:
    """A worker.

    Parameters
    ----------
    node : Node
        What jobs work with.
    kinds : iterable of JobKind
        What it can do; jobs of other kinds are left to others.
    periodic : iterable of Periodic
        What it adds periodically, unless another worker does.
    threads : int
        How many batches of the work of this node it runs at a time. Those for remote AEs have threads of their own, as
        many as the limits of their kinds allow.
    sweep_interval_s : float
        How often it looks for what no message tells of [s]; much shorter than any lease.
    turn_s : float
        See `TURN_S`.
    listens : bool
        Whether it takes messages; else it finds what is due when it sweeps.
    batch_interval_s : float
        See `BATCH_INTERVAL_S`.
    """

    def __init__(
        self,
        node: Node,
        kinds: Iterable[JobKind] = JOB_KINDS,
        periodic: Iterable[Periodic] = PERIODIC,
        *,
        threads: int = 1,
        sweep_interval_s: float = REMOVE_UNFINISHED_INTERVAL_S,
        turn_s: float = TURN_S,
        listens: bool = True,
        batch_interval_s: float = BATCH_INTERVAL_S,
    ) -> None:
        self._node = node
        self._batch_interval_s = batch_interval_s
        self._kinds = {kind.name: kind for kind in kinds}
        self._periodic = tuple(periodic)
        self._attempts_max = {kind.name: kind.attempts_max for kind in self._kinds.values()}
        self._chance = random.Random()
        self._process = this_process(node.config.current.node.data)
        self._name = new_owner(self._process)
        self._claims = itertools.count(1)
        self._lanes = HotLanes()
        self._own_lanes = {kind.name: HotLanes() for kind in self._kinds.values() if kind.own_threads}
        remote = [kind for kind in self._kinds.values() if kind.is_for_remote]
        self._slots = Slots(self._attempt_for_remote, threads_max=sum(kind.concurrency for kind in remote))
        # Kind -> lanes that may be at a limit, in the order in which they were refused.
        self._refused: defaultdict[str, dict[Lane, None]] = defaultdict(dict)
        self._turn_s = turn_s
        self._overdue: frozenset[str] = frozenset()  # kinds of which a lane has waited for longer than a turn
        self._leases = Leases(node.index)
        self._stopping = threading.Event()
        self._sweep_interval_s = sweep_interval_s
        self._alone = Alone(node, self._process.node)
        self._is_alone = False
        self._cap_at = 0.0
        self._failing = False
        self._elsewhere: set[str] = set()
        taken = [self._lanes] * threads
        taken += [self._own_lanes[kind.name] for kind in self._kinds.values() for _ in range(kind.own_threads)]
        self._threads = [
            threading.Thread(target=work, args=arguments, name=f"jobs {work.__name__}", daemon=True)
            for work, *arguments in [
                *((self._work, lanes) for lanes in taken),
                (self._tend,),
                *([(self._listen,)] if listens else []),
            ]
        ]

    # Life

    def start(self) -> None:
        """Start to run jobs; what a worker of this node left that is dead is offered again at once."""
        for owner in self._node.index.jobs.owners():
            if is_dead(owner, self._process):
                self._node.index.jobs.expire(owner)
        self._look_elsewhere()
        self._alone.begin()
        self._look_for_others()
        self._node.queue.tell(self._add)
        self._slots.start()
        for thread in self._threads:
            thread.start()

    def stop(self, drain_s: float) -> None:
        """Claim no more; wait for what runs, and after a while give its leases back. The process has to end then.

        Parameters
        ----------
        drain_s : float
            How long to wait [s].
        """
        self._stopping.set()
        for lanes in self._all_lanes():
            lanes.close()
        self._slots.close()
        self._node.idle.close()
        self._node.queue.stop_receiving()
        deadline = time.monotonic() + drain_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._slots.join(deadline)
        self._alone.end()
        given_back = self._leases.give_back(self._node.clock())
        if given_back:
            logger.warning("%d jobs were not finished in time and are left to others", given_back)

    def run_due(self) -> int:
        """Do in this thread everything that is due now, and return how many batches that were."""
        self._sweep()
        count = 0
        while (lane := self._take_now()) is not None:
            count += self._run(lane) > 0
        return count

    def _take_now(self) -> Lane | None:
        for each in (*self._all_lanes(), self._slots):
            if (lane := each.take_now()) is not None:
                return lane
        return None

    def _all_lanes(self) -> Iterable[HotLanes]:
        return (self._lanes, *self._own_lanes.values())

    # Running

    def _work(self, lanes: HotLanes) -> None:
        while (lane := lanes.take()) is not None:
            self._attempt(lane)

    def _attempt_for_remote(self, lane: Lane) -> None:
        """Attempt what is due for a remote AE; then wait a little if it came in one by one, and may go on to do so.

        A single job tells nothing of others, and where there were as many as fit into a batch more are waiting.
        """
        begun_at = time.monotonic()
        if 1 < self._attempt(lane) < self._kinds[lane.kind].batch_max:
            self._stopping.wait(max(0.0, begun_at + self._batch_interval_s - time.monotonic()))

    def _attempt(self, lane: Lane) -> int:
        try:
            return self._run(lane)
        except MedserverError as error:
            logger.error("jobs of kind %s: %s", lane.kind, error)
        except Exception:  # a bug; the thread has to go on
            logger.exception("jobs of kind %s", lane.kind)
        return 0

    def _run(self, lane: Lane) -> int:
        """Claim jobs of a lane and run them; return how many there were."""
        kind = self._kinds.get(lane.kind)
        if kind is None:
            return 0
        now = self._node.clock()
        jobs = self._node.index.jobs.claim(
            lane,
            owner=f"{self._name}:{next(self._claims)}",
            lease_until=now + timedelta(seconds=kind.lease_s),
            limit=kind.batch_max,
            concurrency=kind.concurrency,
            destination_concurrency=kind.destination_concurrency,
        )
        if not jobs:
            self._refused[kind.name].setdefault(lane)
            return 0
        if len(jobs) == kind.batch_max and kind.destination_concurrency > 1:
            self._add([lane])  # there may be more, for another thread
        performance = Performance(
            self._node,
            kind,
            should_stop=self._stopping.is_set,
            gives_way=partial(self._gives_way, kind, time.monotonic() + self._turn_s),
            on_settled=self._leases.settled,
            chance=self._chance,
        )
        try:
            with self._leases.held(jobs, kind.lease_s, now):
                performance.run(jobs)
            if kind.is_for_remote:
                self._node.index.jobs.let_others_try(lane)
        finally:
            # There is room again within the limits, and the next job of an order key may be ready.
            # Those that were refused go first, so that each has its turn.
            self._add([*self._refused.pop(kind.name, ()), lane])
        return len(jobs)

    def _gives_way(self, kind: JobKind, turn_ends_at: float) -> bool:
        """Tell whether a batch has had its turn, and another remote AE waits for room within the limit of the kind."""
        return kind.name in self._overdue and time.monotonic() >= turn_ends_at

    def _add(self, lanes: Iterable[Lane]) -> None:
        ours = [lane for lane in lanes if self._is_ours(lane)]
        for lane in ours:
            taker = self._slots if self._kinds[lane.kind].is_for_remote else self._own_lanes.get(lane.kind, self._lanes)
            taker.add([lane])

    def _is_ours(self, lane: Lane) -> bool:
        kind = self._kinds.get(lane.kind)
        return kind is not None and not (kind.is_for_volume and lane.destination in self._elsewhere)

    # Tending

    def _tend(self) -> None:
        pause_s = self._sweep_interval_s
        while not self._stopping.wait(pause_s):
            try:
                pause_s = self._sweep()
                self._look_for_others()
                if self._failing:
                    logger.info("the jobs can be read again")
                    self._failing = False
            except MedserverError as error:
                if not self._failing:
                    logger.error("the jobs cannot be read: %s", error)
                    self._failing = True
                pause_s = self._sweep_interval_s
            except Exception:  # a bug; without this thread leases would run out
                logger.exception("tending the jobs failed")
                pause_s = self._sweep_interval_s

    def _sweep(self) -> float:
        """Do what is due now, and return the time until something will be [s]."""
        self._leases.extend(self._node.clock())
        jobs = self._node.index.jobs
        self._look_elsewhere()
        for job in jobs.sweep(self._attempts_max):
            logger.warning(Event("job", state="expired", kind=job.kind, id=job.id, attempts=job.attempts))
        for each in self._periodic:
            jobs.add_periodic(each.name, each.interval_s, NewJob(each.kind, destination=each.destination))
        lanes = jobs.lanes()
        if self._cap_waits(lanes):
            lanes = jobs.lanes()
        return self._look(lanes)

    def _look_elsewhere(self) -> None:
        """Find out which volumes other nodes have and this one does not."""
        self._elsewhere = self._node.index.nodes.volumes() - self._node.volumes.keys()

    def _look_for_others(self) -> None:
        """Keep associations open between batches only while no other worker may open some to the same remote AE."""
        self._is_alone = self._alone.is_so()
        self._node.idle.allow(self._is_alone)

    def _cap_waits(self, lanes: Iterable[LaneState]) -> bool:
        """Look now and then for what was written while a clock was ahead; tell whether there was any."""
        if time.monotonic() < self._cap_at:
            return False
        self._cap_at = time.monotonic() + CAP_INTERVAL_S
        config = self._node.config.current
        waits = {kind.name: kind.waits(config) for kind in self._kinds.values()}
        known = {state.lane: waits[state.lane.kind] for state in lanes if state.lane.kind in waits}
        capped = self._node.index.jobs.cap_waits(known, PAUSE_MAX_S)
        for lane in capped:
            logger.warning(Event("clock", problem="it was ahead", kind=lane.kind, destination=lane.destination or None))
        return bool(capped)

    def _look(self, lanes: Iterable[LaneState]) -> float:
        """Have the lanes looked at that are due, and return the time until another one will be [s]."""
        now = self._node.clock()
        pause_s = self._sweep_interval_s
        overdue: set[str] = set()
        for state in lanes:
            if state.due_at is None or state.paused:
                continue
            if state.due_at <= now:
                self._add([state.lane])
                if (now - state.due_at).total_seconds() > self._turn_s and not self._slots.performs(state.lane):
                    overdue.add(state.lane.kind)
            else:
                pause_s = min(pause_s, max(PAUSE_MIN_S, (state.due_at - now).total_seconds()))
        self._overdue = frozenset(overdue)
        return pause_s

    # Messages

    def _listen(self) -> None:
        while self._lanes.wait_for_idle(unless=lambda: self._is_alone):
            lane = self._node.queue.receive()
            if lane is not None and lane.kind == MAKE_ROOM:
                make_room(self._node, lane.destination)
            elif lane is not None:
                self._add([lane])
        self._node.queue.release()
