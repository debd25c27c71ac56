"""Functions that the tests let worker processes do."""

from __future__ import annotations

import os
import resource
import sys
import time

from medserver import errors
from medserver.codecs import Workers


def process_id() -> int:
    """Return the process that this runs in."""
    return os.getpid()


def read(descriptor: int, count: int) -> str:
    """Return text from a file."""
    return os.read(descriptor, count).decode()


def write(descriptor: int) -> None:
    """Write to a file."""
    os.write(descriptor, b"anything")


def open_files() -> int:
    """Return how many files are open here."""
    return len(os.listdir("/proc/self/fd"))


def kill_itself(number: int) -> None:
    """End this process by a signal."""
    os.kill(os.getpid(), number)


def announce_and_wait(ready: int, wait: int) -> None:
    """Write the process id to `ready`, then wait until `wait` is closed."""
    os.write(ready, b"%15d\n" % os.getpid())
    os.read(wait, 1)


def allocate(size_bytes: int) -> int:
    """Use memory."""
    return len(bytearray(size_bytes))


def loop() -> None:
    """Never end."""
    while True:
        pass


def work(time_s: float) -> int:
    """Use CPU time, then return the process id."""
    end = time.process_time() + time_s
    while time.process_time() < end:
        pass
    return os.getpid()


def divide(dividend: int, divisor: int) -> float:
    """Divide."""
    return dividend / divisor


def recurse() -> None:
    """Call itself."""
    recurse()


def raise_error(name: str, text: str) -> None:
    """Raise one of our errors."""
    raise getattr(errors, name)(text)


def be_a_parent(job: str) -> None:
    """Start a worker, print its process id, then wait to be killed."""
    workers = Workers(1)
    read_end, write_end = os.pipe()
    if job == "process_id":
        print(workers.run(process_id), flush=True)
        os.read(read_end, 1)
    workers.run(announce_and_wait, files=(sys.stdout.fileno(), read_end))
    os.close(write_end)


def extract_measured(*arguments: object) -> list:
    """Extract frames; return the UID, how many bytes were read for it, and by how much the peak of memory grew."""
    from medserver.codecs.frames.extraction import extract

    read, memory = _read_bytes(), _memory_peak_bytes()
    uid = extract(*arguments)
    return [uid, _read_bytes() - read, _memory_peak_bytes() - memory]


def _read_bytes() -> int:
    with open("/proc/self/io", encoding="ascii") as counters:
        lines = list(counters)
    for line in lines:
        if line.startswith("rchar"):
            return int(line.split()[1])
    raise LookupError("rchar")


def _memory_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
