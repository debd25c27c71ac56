"""One of the processes that serve HTTP."""

from __future__ import annotations

import gc
import os
import socket
import threading

from medserver.config import ConfigFile
from medserver.errors import ConfigError
from medserver.node import open_node
from medserver.server.acceptor_process import DRAIN_S, WATCH_INTERVAL_S, log_thread_failure
from medserver.server.heartbeat import Heartbeat
from medserver.server.signals import is_asked_to_stop
from medserver.trail.refusals import refusals


def run(config_file: ConfigFile, listener: socket.socket, supervisor: int) -> None:
    """Serve HTTP until SIGTERM or SIGINT, or until the supervisor is gone.

    The stop signals must be blocked when this is called, so that they can be waited for.

    Parameters
    ----------
    listener : socket.socket
        Listening; the other processes accept from it too.
    supervisor : int
        Its process ID.

    Raises
    ------
    ConfigError
        The libraries for it are not there.
    IndexFailure, StoreFailure
        The index or a volume cannot be opened.
    """
    try:
        from medserver.web.server import WebServer  # not there without the extra
    except ImportError as error:
        raise ConfigError(f"[web] enabled: install medserver[web] ({error})") from None
    threading.excepthook = log_thread_failure
    node = open_node(config_file, receives=True)
    node.watch.start()
    options = config_file.current.web
    server = WebServer(node, listener, options.certificate, options.key)
    gc.freeze()
    server.start()
    heartbeat = Heartbeat(node, "serve")
    heartbeat.start()
    while not is_asked_to_stop(config_file, WATCH_INTERVAL_S):
        if os.getppid() != supervisor or not server.is_alive or heartbeat.is_outdated:
            break
        refusals.flush(node)
        config_file.current  # noqa: B018 - a changed file is taken over, or complained of, also when nobody calls
    heartbeat.stop()
    server.stop(DRAIN_S)
    refusals.flush(node, all_of_them=True)
    node.close()
