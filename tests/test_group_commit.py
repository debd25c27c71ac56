"""Threads that share a slow step."""

from __future__ import annotations

import threading

import pytest

from medserver.group_commit import Closed, GroupCommit, Task


class Number(Task):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run_all(group: GroupCommit[Number], numbers) -> dict[int, BaseException | None]:
    """Run a task for each number in a thread of its own; return what each raised."""
    outcomes: dict[int, BaseException | None] = {}

    def run(number: int) -> None:
        try:
            group.run(Number(number))
            outcomes[number] = None
        except ValueError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    return outcomes


def test_those_who_come_meanwhile_are_performed_together():
    groups: list[list[int]] = []
    first_is_in, first_may_go = threading.Event(), threading.Event()

    def perform(tasks: list[Number]) -> None:
        groups.append(sorted(task.number for task in tasks))
        if len(groups) == 1:
            first_is_in.set()
            assert first_may_go.wait(10)

    group = GroupCommit(perform, tasks_max=100)
    leader = threading.Thread(target=run_all, args=(group, [0]))
    leader.start()
    assert first_is_in.wait(10)
    others = threading.Thread(target=run_all, args=(group, range(1, 11)))
    others.start()
    while len(group._waiting) < 10:
        assert others.is_alive()
    first_may_go.set()
    leader.join(10)
    others.join(10)
    assert groups == [[0], list(range(1, 11))]


def test_every_task_is_performed_once_and_never_two_groups_at_once():
    performed: list[int] = []
    inside = threading.Lock()

    def perform(tasks: list[Number]) -> None:
        assert inside.acquire(blocking=False)
        assert len(tasks) <= 7
        performed.extend(task.number for task in tasks)
        inside.release()

    outcomes = run_all(GroupCommit(perform, tasks_max=7), range(200))
    assert sorted(performed) == list(range(200))
    assert outcomes == dict.fromkeys(range(200))


def test_a_failure_reaches_its_owner_and_a_failed_step_all():
    def perform(tasks: list[Number]) -> None:
        for task in tasks:
            if task.number % 2:
                task.failure = ValueError(task.number)

    outcomes = run_all(GroupCommit(perform, tasks_max=10), range(20))
    assert {number for number, error in outcomes.items() if error} == set(range(1, 20, 2))

    def fail(tasks: list[Number]) -> None:
        raise ValueError("all of them")

    assert all(run_all(GroupCommit(fail, tasks_max=10), range(20)).values())


def test_nothing_is_taken_after_the_end():
    performed: list[int] = []
    group = GroupCommit(lambda tasks: performed.extend(task.number for task in tasks), tasks_max=10)
    group.run(Number(1))
    group.close(Number(0))
    with pytest.raises(Closed):
        group.run(Number(2))
    assert performed == [1]
