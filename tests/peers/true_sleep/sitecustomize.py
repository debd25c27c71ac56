"""For Python under libfaketime, which reads it at its start: `time.sleep` works again.

Since Python 3.11 it sleeps until a moment of the monotonic clock. libfaketime takes the offset of the wall clock from
that moment although it leaves this clock alone, and every call fails with EINVAL.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep
