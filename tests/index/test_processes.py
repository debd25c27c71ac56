"""Several processes write one index at once, and one of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from medserver.index import Index, open_index
from tests.index.samples import find, record

SPAWN = multiprocessing.get_context("spawn")
PROCESSES, THREADS, STUDIES, NUMBERS = 3, 3, 4, 12


def add_everything(url: str, base: Path, process: int, answers: Connection) -> None:
    """Add what all the others add too, from several threads, in an order of their own."""
    outcomes: list[str] = []

    def work(thread: int) -> None:
        wanted = [(study, number) for study in range(STUDIES) for number in range(NUMBERS)]
        shift = (process * THREADS + thread) * 5 % len(wanted)
        for study, number in wanted[shift:] + wanted[:shift]:
            # Everybody's patient is the same; every third process brings other bytes, and one brings
            # another person.
            name = "Roe^Jane" if study == 3 and process == 0 else "Doe^John"
            content = "other" if process == 2 else ""
            item = record(study, number % 2, number, patient_id="P", patient_name=name, content=content)
            outcomes.append(index.add(item).outcome)

    with open_index(url, base=base) as index:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    answers.send(outcomes)


def test_processes_and_threads_add_the_same_things(index_url: str, index: Index, tmp_path: Path) -> None:
    pipes, processes = [], []
    for number in range(PROCESSES):
        receiver, sender = SPAWN.Pipe(duplex=False)
        pipes.append(receiver)
        processes.append(SPAWN.Process(target=add_everything, args=(index_url, tmp_path, number, sender)))
        processes[-1].start()
    outcomes: list[str] = []
    for pipe in pipes:
        assert pipe.poll(120), "a process does not come to an end"
        outcomes += pipe.recv()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    count = STUDIES * NUMBERS
    assert len(outcomes) == PROCESSES * THREADS * count
    assert outcomes.count("stored") == count
    assert outcomes.count("kept") == count  # of each instance there are two versions
    counts = index.counts()
    assert (counts.studies, counts.series, counts.instances) == (STUDIES, STUDIES * 2, count)
    assert (counts.duplicates, counts.locations) == (count, 2 * count)
    assert find(index, "PATIENT", "PatientName") in (["Doe^John"], ["Doe^John", "Roe^Jane"])
    assert {conflict.kind for conflict in index.conflicts()} <= {"patient", "study"}


def add_until_killed(url: str, base: Path, acknowledged: Connection) -> None:
    """Add instances, and tell of each when it is durable."""
    with open_index(url, base=base) as index:
        for number in range(1_000_000):
            item = record(study=number // 50, number=number)
            index.add(item)
            acknowledged.send(item.sop_instance_uid)


def test_what_was_added_survives_the_death_of_the_process(index_url: str, tmp_path: Path) -> None:
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=add_until_killed, args=(index_url, tmp_path, sender))
    process.start()
    sender.close()
    acknowledged = [receiver.recv() for _ in range(300)]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    try:
        while True:
            acknowledged.append(receiver.recv())
    except EOFError:
        pass
    with open_index(index_url, base=tmp_path) as index:
        present = set(find(index, "IMAGE", "SOPInstanceUID"))
        assert present >= set(acknowledged)
        assert len(present) == index.counts().locations
        assert index.add(record(study=9_999, number=1)).outcome == "stored"
