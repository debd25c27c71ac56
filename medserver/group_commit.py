"""Group commit: those who wait for the same slow step share it.

The first thread that comes leads: it takes what waits, performs the step for all, wakes the others, and hands the
lead to the first of those who came in the meantime. There is no thread that would have to be started, stopped or
watched, and a thread that is alone does not wait for another one to be scheduled.

The journal shares its flushes like this, and the index its transactions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar


class Closed(Exception):
    """The group takes no more tasks."""


class Task:
    """What one thread wants to have done.

    Attributes
    ----------
    failure : BaseException or None
        Why it could not be done; raised in the thread that waits.
    finished : bool
        Whether it was done, or has failed.
    leads : bool
        Whether its thread was told to lead.
    """

    __slots__ = ("_woken", "failure", "finished", "leads")

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.finished = False
        self.leads = False
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        """Wait until the task is finished, or until its thread is to lead."""
        self._woken.acquire()

    def wake(self) -> None:
        """End `wait`."""
        self._woken.release()


AnyTask = TypeVar("AnyTask", bound=Task)


class GroupCommit(Generic[AnyTask]):
    """Brings together the tasks of many threads.

    Parameters
    ----------
    perform_all : callable
        Performs a list of tasks; it notes a failure in the task, and what it raises fails all of them. It is called
        by one thread at a time.
    tasks_max : int
        How many tasks are performed together at most.
    """

    def __init__(self, perform_all: Callable[[list[AnyTask]], None], tasks_max: int) -> None:
        self._perform_all = perform_all
        self._tasks_max = tasks_max
        self._waiting: list[AnyTask] = []
        self._led = False
        self._closed = False
        self._lock = threading.Lock()

    def run(self, task: AnyTask) -> None:
        """Have a task performed, together with those of other threads, and raise its failure.

        Raises
        ------
        Closed
            `close` has been called.
        """
        with self._lock:
            if self._closed:
                raise Closed
            self._waiting.append(task)
            leads = not self._led
            self._led = True
        self._see_through(task, leads)
        if task.failure is not None:
            raise task.failure

    def close(self, last: AnyTask) -> None:
        """Take no more tasks, and wait for those that are there.

        Parameters
        ----------
        last : Task
            A task that does nothing; it is performed behind all others, if there are any.
        """
        with self._lock:
            self._closed = True
            if not self._led:
                return
            self._waiting.append(last)
        self._see_through(last, leads=False)

    def _see_through(self, task: AnyTask, leads: bool) -> None:
        if not leads:
            self._wait(task)
        if not task.finished:
            self._lead(task)

    def _wait(self, task: AnyTask) -> None:
        """Wait until a task is finished or has to lead."""
        try:
            task.wait()
        except BaseException:  # Ctrl-C: nobody must wait for a leader that has gone
            with self._lock:
                if task in self._waiting:
                    self._waiting.remove(task)
                leads = task.leads
            if leads:
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Let the first of those who wait lead, if anybody waits."""
        with self._lock:
            heir = self._waiting[0] if self._waiting else None
            self._led = heir is not None
            if heir is not None:
                heir.leads = True
        if heir is not None:
            heir.wake()

    def _lead(self, own: AnyTask) -> None:
        """Perform the tasks that wait, `own` among them, and hand on the lead."""
        with self._lock:
            tasks = self._waiting[: self._tasks_max]
            del self._waiting[: self._tasks_max]
        try:
            self._perform_all(tasks)
        except BaseException as error:  # whatever it was: the other threads must not wait for ever
            for task in tasks:
                task.failure = task.failure or error
        finally:
            for task in tasks:
                task.finished = True
                if task is not own:
                    task.wake()
            self._hand_on()
