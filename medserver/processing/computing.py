"""What a request makes: objects are staged, a type is applied to them in worker processes, what it makes is registered.

Outputs of a type that several processes share are staged while others are computed, see `registration`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from medserver.codecs.workers import Workers
from medserver.crash import crash_point
from medserver.errors import WorkStopped
from medserver.index.derivations import DerivedInstance
from medserver.log import Event
from medserver.node import Node
from medserver.processing.commands.application import apply_command
from medserver.processing.comparison import Comparison, NotAsStored
from medserver.processing.inputs import Input
from medserver.processing.progress import Progress, noted
from medserver.processing.registration import Registration
from medserver.processing.requests import ProcessingRequest
from medserver.processing.staging import staged, write_inputs
from medserver.processing.types import ProcessingType

SHARED_INSTANCES = 8
"""What is made of so many instances is shared by several processes, if the type allows it."""

LOOK_FOR_OUTPUTS_S = 0.02
"""How often is looked for what was made, while others are computed."""

PERFORM = "medserver.processing.task:perform"

logger = logging.getLogger(__name__)


class InputsChanged(Exception):
    """What was computed is of objects that are not there any more, or are others now."""


@dataclass(frozen=True, slots=True)
class Computation:
    """What is computed for one work item.

    Parameters
    ----------
    node : Node
        Where.
    processors : Workers
        The processes that compute it.
    workitem_uid : str
        The item, or what stands for it after another instance had the UID of an output: of it the UIDs of the outputs
        are made.
    moment : str
        When it was started, ``YYYYMMDDHHMMSS`` in local time; empty: the outputs do not say it.
    is_unwanted : callable
        Tells whether nobody wants it any longer. Threads share it.
    have_changed : callable
        Tells whether its objects are not what they were.
    progress : Progress
        Is told how much is computed.
    """

    node: Node
    processors: Workers
    workitem_uid: str
    moment: str
    is_unwanted: Callable[[], bool]
    have_changed: Callable[[], bool]
    progress: Progress

    def outputs(
        self, kind: ProcessingType, request: ProcessingRequest, inputs: Sequence[Input]
    ) -> list[DerivedInstance]:
        """Return what was registered of what a type has made of objects.

        Raises
        ------
        CannotProcess, CannotTranscode, WorkerDied, WorkTooLong
            It cannot be made, or is not what may come in.
        OutOfResources, StoreFailure, IndexFailure
            It could not be made durable, or entered.
        WorkStopped
            Nobody wants it any longer.
        InputsChanged
            It is to be computed again.
        """
        if kind.is_ours:
            try:
                return self._outputs(kind, request, inputs, may_link=True)
            except NotAsStored as error:
                logger.warning(Event("inputs copied", sop_instance_uid=self.workitem_uid, reason=str(error)))
        return self._outputs(kind, request, inputs, may_link=False)

    def _outputs(
        self, kind: ProcessingType, request: ProcessingRequest, inputs: Sequence[Input], *, may_link: bool
    ) -> list[DerivedInstance]:
        instances = [one.instance for one in inputs]
        with staged(self.node) as (before, after):
            linked = write_inputs(self.node, inputs, before, self.is_unwanted, may_link=may_link)
            crash_point("inputs staged")
            with (
                Comparison(linked, self.is_unwanted) as comparison,
                Registration(self.node, after, instances, self._check_wanted, may_take=kind.is_ours) as registration,
            ):
                if kind.command is None:
                    with comparison.deciding():
                        self._compute(kind, request, before, after, len(inputs), registration, comparison)
                else:
                    apply_command(
                        self.node, kind, request.own_parameters, self.workitem_uid, (before, after), instances,
                        self.moment, self.is_unwanted,
                    )  # fmt: skip
                crash_point("outputs computed")
                if self.have_changed():
                    raise InputsChanged
                return registration.register()

    def _compute(
        self,
        kind: ProcessingType,
        request: ProcessingRequest,
        before: Path,
        after: Path,
        count: int,
        registration: Registration,
        comparison: Comparison,
    ) -> None:
        """Have it computed, by several processes if the type allows it; when one fails the others are stopped."""
        is_shared = kind.is_partial and count >= SHARED_INSTANCES
        parts = len(os.sched_getaffinity(0)) if is_shared else 1
        selection = None if request.outputs is None else list(request.outputs)
        given = (str(before), str(after), request.own_parameters, self.workitem_uid, selection)
        has_failed = threading.Event()

        def is_unwanted() -> bool:
            self.progress.at(lambda: noted(after, parts))
            return has_failed.is_set() or comparison.has_failed or self.is_unwanted()

        def compute(index: int) -> None:
            try:
                self.processors.run(PERFORM, kind.name, *given, [index, parts], self.moment, unless=is_unwanted)
            except BaseException:
                has_failed.set()
                raise

        if not is_shared:
            compute(0)
            return
        with ThreadPoolExecutor(parts) as pool:
            computed = [pool.submit(compute, index) for index in range(parts)]
            try:
                _stage_while(computed, registration)
            except BaseException:
                has_failed.set()
                raise
        errors = list(filter(None, (one.exception() for one in computed)))
        if errors:
            raise next((error for error in errors if not isinstance(error, WorkStopped)), errors[0])

    def _check_wanted(self) -> None:
        if self.is_unwanted():
            raise WorkStopped("nobody wants it any longer")


def _stage_while(computed: Sequence[Future[None]], registration: Registration) -> None:
    """Have outputs staged until the computation has ended."""
    while wait(computed, LOOK_FOR_OUTPUTS_S).not_done:
        registration.look()
