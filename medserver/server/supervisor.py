"""The process that the administrator starts: it listens, and starts the acceptor processes, the placer and the workers.

It has a single thread and no open index, so that it can fork at any time: a process that died is replaced by a new
one. When the supervisor itself dies, the others notice it and stop.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from medserver import __version__, archive, errors, lock
from medserver.config import Config, ConfigFile
from medserver.config.web import WebOptions
from medserver.errors import MedserverError, StoreFailure
from medserver.imports import import_all
from medserver.log import Event
from medserver.node import Node, open_node
from medserver.procedures import workitem_farewell
from medserver.printing.checking import problems_of as printing_problems_of
from medserver.processing.checking import problems_of
from medserver.queue import messages, storages  # noqa: F401 - as `import_all` below
from medserver.server import acceptor_process, placer_process, web_process, worker_process
from medserver.server.acceptor_process import DRAIN_S
from medserver.server.descriptors import raise_descriptor_limit
from medserver.server.expiry_watch import ExpiryWatch
from medserver.server.hangup import Hangup
from medserver.server.permissions import narrow_data, require_writable
from medserver.server.registration import register
from medserver.server.stop_request import StopRequest
from medserver.tls.contexts import server_context
from medserver.trail import activity, keeping
from medserver.wire.acceptor import bind, listen
from medserver.wire.admission import AdmissionLimits
from medserver.wire.entrance import Entrance
from medserver.wire.roster import Roster
from medserver.workitems import announcing

INTERVAL_S = 0.25
PREPARED_EVERY_S = 0.02
PROBLEM_LENGTH_MAX = 4000
RESTART_DELAY_S = 1.0
KILL_AFTER_S = DRAIN_S + 4.0
FAILURE_EXIT_CODE = 70


class Role(Enum):
    """What a process does."""

    ACCEPTOR = auto()
    PLACER = auto()
    WORKER = auto()
    WEB = auto()


@dataclass(frozen=True, slots=True)
class Post:
    """What one of the processes is for: when it has ended, another one takes its place.

    Parameters
    ----------
    role : Role
        What it does.
    number : int
        Which of those that do the same, from 0; of acceptors their place in the roster.
    """

    role: Role
    number: int = 0


logger = logging.getLogger(__name__)


def serve(config_file: ConfigFile) -> None:
    """Run the node until SIGTERM or SIGINT.

    Raises
    ------
    OSError
        The address cannot be listened on.
    IndexFailure, StoreFailure
        The index or a volume cannot be opened, or the index not be written.
    BadUsage
        The index is being made anew.
    """
    require_writable(config_file.current)
    hangup = Hangup(config_file)
    stop_request = StopRequest(hangup)  # before anybody can see that we are here
    with lock.shared(config_file.current.node.data):  # the processes that are forked hold it too
        Supervisor(config_file, stop_request, hangup).run()


def _require_primary(node: Node) -> None:
    """Raise StoreFailure where the primary volume is not there: nothing could be received, and nothing served."""
    volume = node.primary_volume
    condition = volume.condition()
    if not condition.is_present:
        raise StoreFailure(
            f"the primary volume {volume.name} is {condition.state}: {condition.detail}: mount its disk, or, if that "
            f"is lost, put an empty one in its place and run: medserver store replicate {volume.name} --anew"
        )


def _warn_of_rules(config: Config) -> None:
    """Tell of rules that cannot be applied: images are received whatever becomes of them."""
    for problem in (*problems_of(config), *printing_problems_of(config)):
        logger.warning(Event("rule cannot be applied", problem=problem))


def _entrances(config_file: ConfigFile) -> list[Entrance]:
    """Take the ports of the configuration.

    Raises
    ------
    OSError
        One of them is taken.
    ConfigError
        TLS is wanted, and its certificate or key cannot be used.
    """
    node = config_file.current.node
    entrances = []
    if node.tls_port is not None:
        server_context(config_file.current.tls)
    if node.port is not None:
        entrances.append(Entrance(bind(node.address, node.port), proxies=node.proxies))
    if node.tls_port is not None:
        listener = bind(node.address, node.tls_port)
        entrances.append(Entrance(listener, lambda: server_context(config_file.current.tls), node.proxies))
    return entrances


def _web_listener(options: WebOptions) -> socket.socket:
    """Take the port of HTTP.

    Raises
    ------
    OSError
        It is taken.
    ConfigError
        HTTPS is wanted, and its certificate or key cannot be used.
    """
    if options.certificate is not None and options.key is not None:
        from medserver.tls.standard import acceptor_context  # it loads ssl

        acceptor_context(options.certificate, options.key)
    return bind(options.address, options.port)


class Supervisor:
    """Starts, watches and stops the acceptor processes.

    Parameters
    ----------
    config_file : ConfigFile
        What config.ini says.
    stop_request : StopRequest
        When to stop.
    hangup : Hangup
        When to have the configuration read anew.
    """

    def __init__(self, config_file: ConfigFile, stop_request: StopRequest, hangup: Hangup) -> None:
        config = config_file.current
        self._config_file = config_file
        self._stop_request = stop_request
        self._hangup = hangup
        self._entrances = _entrances(config_file)
        self._web = _web_listener(config.web) if config.web.enabled else None
        limits = AdmissionLimits.from_options(config.limits)
        self._roster = Roster(config.node.processes, limits.rows)
        raise_descriptor_limit(limits.rows + limits.waiting_max)
        self._process_id = os.getpid()
        self._processes: dict[int, Post] = {}  # process ID -> what it is for
        self._restart_at: dict[Post, float] = {}  # when a process is to be started for it

    def run(self) -> None:
        """Serve until a stop signal comes."""
        if all(volume.path is not None for volume in self._config_file.current.volumes):
            self._prepare(forks=True)
        elif not self._prepare_in_a_process():
            return
        import_all(archive)  # once, and not by each process in the midst of an association or a job
        config = self._config_file.current
        for entrance in self._entrances:
            listen(entrance.listener)
        if self._web is not None:
            listen(self._web)
        for post in self._posts(config):
            self._start(post)
        logger.info(
            Event(
                "listening",
                ae_title=config.node.ae_title,
                address=config.node.address,
                **{"tls_port" if each.is_secure else "port": each.port for each in self._entrances},
                **({} if self._web is None else {"web_port": self._web.getsockname()[1]}),
                processes=config.node.processes,
                version=__version__,
                pid=os.getpid(),
            )
        )
        expiry_watch = ExpiryWatch()
        while not self._stop_request.wait(INTERVAL_S):
            self._reap()
            is_changed = self._hangup.take()
            if is_changed:
                self._read_again()
            expiry_watch.look(self._config_file.current, now=is_changed)
        logger.info("stopping")
        self._close_entrances()
        if self._web is not None:
            self._web.close()
        announcer = self._start_announcer()
        self._stop()
        self._wait_for(announcer)
        self._wait_for(self._start_child(self._tell_stop, "the stop could not be recorded"))
        logger.info("stopped")

    def _posts(self, config: Config) -> Iterator[Post]:
        """Yield what there has to be a process for."""
        yield Post(Role.PLACER)
        counts = {Role.ACCEPTOR: config.node.processes, Role.WORKER: config.jobs.workers}
        if self._web is not None:
            counts[Role.WEB] = config.web.processes
        yield from (Post(role, number) for role, count in counts.items() for number in range(count))

    def _prepare(self, *, forks: bool) -> None:
        """Bring index and volumes together, and tell of the start; `forks` is that of `open_node`."""
        node = open_node(self._config_file, forks=forks)
        try:
            _require_primary(node)
            register(node, "serve", self._stop_request.wait)
            narrow_data(self._config_file.current)
            archive.reconcile(node)
            activity.tell_start(node, self._process_id)
            announcing.restarted(node)
            _warn_of_rules(self._config_file.current)
            # So that the first objects find the journal ready.
            placer_process.Placer(list(node.volumes.values()), self._config_file.current.node.processes).place()
        finally:
            node.close()  # before the first fork: an open SQLite database must not be inherited

    def _prepare_in_a_process(self) -> bool:
        """Do `_prepare` in a process of its own; return False if the node is to stop meanwhile.

        What asks a bucket has threads afterwards, of a library that does not survive a fork, nor always the end of its
        process: see `Volume.is_remote`.

        Raises
        ------
        MedserverError
            What was raised there.
        """
        reading, writing = os.pipe()
        process_id = os.fork()
        if process_id == 0:
            exit_code = FAILURE_EXIT_CODE
            try:
                self._prepare(forks=False)
                exit_code = 0
            except MedserverError as error:
                os.write(writing, json.dumps([type(error).__name__, str(error)[:PROBLEM_LENGTH_MAX]]).encode())
            except BaseException:
                logger.exception("the start failed")
            finally:
                logging.shutdown()
                os._exit(exit_code)
        os.close(writing)
        with open(reading, "rb") as problem:
            while not (ended := os.waitpid(process_id, os.WNOHANG))[0]:
                if self._stop_request.wait(PREPARED_EVERY_S):
                    os.kill(process_id, signal.SIGKILL)
                    os.waitpid(process_id, 0)
                    return False
            if ended[1] == 0:
                return True
            told = problem.read()
        name, text = json.loads(told) if told else ("MedserverError", "the start failed, see the log")
        raise getattr(errors, name, MedserverError)(text)

    def _read_again(self) -> None:
        """Read the configuration anew, and have the others do so: SIGHUP is mostly sent to this process alone."""
        for process_id in self._processes:
            os.kill(process_id, signal.SIGHUP)
        _warn_of_rules(self._config_file.current)  # it is read, and what is wrong with it is logged

    # -- processes ----------------------------------------------------------------------------------------

    def _start(self, post: Post) -> None:
        """Start a process; later, if that is not possible now."""
        if post.role is Role.ACCEPTOR:
            self._roster.forget(post.number)
        try:
            process_id = os.fork()
        except OSError as error:  # the system has no process or no memory for one: the others go on meanwhile
            logger.error(Event("process", problem=f"cannot be started: {error.strerror}"))
            self._restart_at[post] = time.monotonic() + RESTART_DELAY_S
            return
        if process_id == 0:
            self._be_child(post)
        self._processes[process_id] = post

    def _be_child(self, post: Post) -> None:
        """Do the work of a process and end: never return into the supervisor."""
        exit_code = 0
        try:
            self._run(post)
        except MedserverError as error:
            logger.error(Event("process", problem=str(error)))
            exit_code = FAILURE_EXIT_CODE
        except BaseException:
            logger.exception("a process failed")
            exit_code = FAILURE_EXIT_CODE
        finally:
            logging.shutdown()
            os._exit(exit_code)

    def _run(self, post: Post) -> None:
        """Do what a process is for; it holds no socket of others."""
        if post.role is not Role.ACCEPTOR:
            self._close_entrances()
        if self._web is not None and post.role is not Role.WEB:
            self._web.close()
        if post.role is Role.ACCEPTOR:
            place = self._roster.place(post.number)
            acceptor_process.run(self._config_file, self._entrances, place, self._process_id)
        elif post.role is Role.WEB:
            web_process.run(self._config_file, self._web, self._process_id)
        else:
            run = placer_process.run if post.role is Role.PLACER else worker_process.run
            run(self._config_file, self._process_id)

    def _close_entrances(self) -> None:
        for entrance in self._entrances:
            entrance.listener.close()

    def _reap(self) -> None:
        """Notice processes that have ended, and start others in their place after a moment."""
        for post in self._ended():
            if post.role is Role.ACCEPTOR:
                self._roster.forget(post.number)
            self._restart_at[post] = time.monotonic() + RESTART_DELAY_S
        now = time.monotonic()
        for post in [each for each, moment in self._restart_at.items() if moment <= now]:
            del self._restart_at[post]
            self._start(post)

    def _ended(self) -> list[Post]:
        """Return of which posts the process has ended since the last time."""
        posts = []
        for process_id, post in list(self._processes.items()):
            ended, wait_status = os.waitpid(process_id, os.WNOHANG)
            if ended:
                del self._processes[process_id]
                posts.append(post)
                exit_code = os.waitstatus_to_exitcode(wait_status)
                if exit_code != 0:
                    logger.error(Event("process", ended=process_id, exit_code=exit_code))
        return posts

    def _start_announcer(self) -> int | None:
        """Start a process that tells who watches work items that the node ends; None if that is not possible."""
        # nobody has to be told (PS3.4 CC.2.4.3)
        return self._start_child(
            lambda: workitem_farewell.tell_going_down(self._config_file), "the end could not be announced"
        )

    def _tell_stop(self) -> None:
        """Record that the node stops, behind all that its processes have recorded; and seal that."""
        node = open_node(self._config_file)
        try:
            activity.tell_stop(node, self._process_id)
            keeping.seal_once(node)
        finally:
            node.close()

    @staticmethod
    def _start_child(perform: Callable[[], None], problem: str) -> int | None:
        """Start a process that does one thing, for this one opens no index; None if that is not possible."""
        try:
            process_id = os.fork()
        except OSError:
            return None
        if process_id == 0:
            try:
                perform()
            except MedserverError as error:
                logger.warning(Event(problem, reason=str(error)))
            except BaseException:
                logger.exception(problem)
            finally:
                logging.shutdown()
                os._exit(0)
        return process_id

    @staticmethod
    def _wait_for(announcer: int | None) -> None:
        """Wait until the announcer has ended, which limits itself."""
        if announcer is None:
            return
        deadline = time.monotonic() + KILL_AFTER_S
        while not os.waitpid(announcer, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(announcer, signal.SIGKILL)
                os.waitpid(announcer, 0)
                return
            signal.sigtimedwait({signal.SIGCHLD}, INTERVAL_S / 10)

    def _stop(self) -> None:
        """Stop the acceptors and workers, then the placer, which places what they have received."""
        self._end([process_id for process_id, post in self._processes.items() if post.role is not Role.PLACER])
        self._end(list(self._processes))

    def _end(self, process_ids: list[int]) -> None:
        """Ask processes to stop, and kill those that do not."""
        for process_id in process_ids:
            os.kill(process_id, signal.SIGTERM)
        deadline = time.monotonic() + KILL_AFTER_S
        while self._processes.keys() & set(process_ids) and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, INTERVAL_S)
            self._ended()
        for process_id in self._processes.keys() & set(process_ids):
            logger.error(Event("process", killed=process_id))
            os.kill(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)
            del self._processes[process_id]
