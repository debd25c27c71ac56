"""Data sets of requests that may be long: received to their end first, and read one after the other."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from medserver.errors import DataSetTooLarge, OutOfResources
from medserver.services.request import Request

READ_IN_MEMORY_BYTES = 256 * 1024
"""A longer data set waits in a file until all of it is there and it is its turn."""

_turn = threading.BoundedSemaphore(2)
"""How many data sets are in memory at a time: the largest takes some fifty times of what an association takes."""


@contextmanager
def received_data_set(request: Request, size_max_bytes: int) -> Iterator[bytes]:
    """Receive the data set of a request, and give it when its turn has come, which lasts until the context ends.

    Raises
    ------
    DataSetTooLarge
        It is longer than `size_max_bytes`.
    OutOfResources
        There is no space for it.
    """
    with tempfile.SpooledTemporaryFile(READ_IN_MEMORY_BYTES) as file:
        try:
            for fragment in request.message.fragments():
                file.write(fragment)
                if file.tell() > size_max_bytes:
                    raise DataSetTooLarge(f"more than {size_max_bytes} bytes")
        except OSError as error:
            raise OutOfResources(f"the data set cannot be kept: {error.strerror}") from None
        with _turn:
            file.seek(0)
            yield file.read()
