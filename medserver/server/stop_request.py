"""The request to stop, which comes as a signal."""

from __future__ import annotations

import signal

from medserver.server.acceptor_process import STOP_SIGNALS


class StopRequest:
    """Whether the process was asked to stop; from its making on, a stop signal does nothing else.

    The signals are blocked in this thread, so that it can wait for them. Libraries have threads of their own in
    which they are not (numpy's, for one): a signal that the system gives to one of those comes to the handler.
    """

    def __init__(self) -> None:
        self._made = False
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD})

    def wait(self, timeout_s: float) -> bool:
        """Wait for the request, or for the end of a process; tell whether there is a request."""
        received = signal.sigtimedwait(STOP_SIGNALS | {signal.SIGCHLD}, timeout_s)
        return self._made or (received is not None and received.si_signo in STOP_SIGNALS)

    def _note(self, number: int, frame: object) -> None:
        self._made = True
