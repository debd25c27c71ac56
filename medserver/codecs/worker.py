"""The process that does the jobs of `workers.Workers`. Started as a program of its own.

Each job comes as one message: JSON with the name of a function and its arguments, with the open files attached.
The answer is one message of JSON, never pickle: a worker that a hostile image took over can then say nothing
to its parent but a word and a sentence.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable

from medserver.errors import CannotTranscode, MedserverError, OutOfResources

MESSAGE_SIZE_MAX_BYTES = 64 * 1024
FILES_MAX = 8
TEXT_LENGTH_MAX = 500

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def main(descriptor: int, memory_max_bytes: int) -> None:
    """Do jobs until the parent is gone.

    Parameters
    ----------
    descriptor : int
        The socket to the parent.
    memory_max_bytes : int
        The address space that a job may add to that of the idle worker.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent drains, and says when to stop
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for name in ("coercion", "conversion", "frames.extraction", "lossy"):  # what jobs need does not count as theirs
        importlib.import_module(f"medserver.codecs.{name}")
    importlib.import_module("medserver.codecs.pixels.encoders").preload()
    connection = socket.socket(fileno=descriptor)
    threading.Thread(target=_die_with_parent, args=(descriptor,), daemon=True).start()
    _confine(memory_max_bytes)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_SIZE_MAX_BYTES, FILES_MAX)
        if not message:
            return
        request = json.loads(message)
        signal.setitimer(signal.ITIMER_PROF, request["time_max_s"])  # unhandled, SIGPROF ends the process
        answer = _perform(request, descriptors)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for each in descriptors:
            os.close(each)
        connection.send(json.dumps(answer).encode())


def _die_with_parent(descriptor: int) -> None:
    """End the process when the other end of the socket is closed, also in the middle of a job."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)
    hung_up.poll()
    os._exit(1)


def _confine(memory_max_bytes: int) -> None:
    """Limit the address space, and leave no images in core dumps."""
    with open("/proc/self/statm", encoding="ascii") as statistics:
        used_bytes = int(statistics.read().split()[0]) * resource.getpagesize()
    limit = used_bytes + memory_max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _perform(request: dict, descriptors: list[int]) -> dict:
    """Call the function of a request. Whatever it raises becomes an answer: peer data can raise anything."""
    try:
        return {"value": _function(request["function"])(*descriptors, *request["arguments"])}
    except MedserverError as error:
        return _failure(type(error), str(error))
    except MemoryError:
        return _failure(CannotTranscode, "the work needs more memory than is allowed")
    except OSError as error:
        situation = OutOfResources if error.errno in NO_SPACE else CannotTranscode
        return _failure(situation, f"{type(error).__name__}: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - the boundary of the process
        return _failure(CannotTranscode, f"{type(error).__name__}: {error}")


def _function(name: str) -> Callable:
    module_name, _, function_name = name.partition(":")
    return getattr(importlib.import_module(module_name), function_name)


def _failure(situation: type[MedserverError], text: str) -> dict:
    return {"error": situation.__name__, "text": " ".join(text.split())[:TEXT_LENGTH_MAX]}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
