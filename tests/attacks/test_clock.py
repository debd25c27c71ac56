"""A wall clock that jumps by an hour: timers run on another clock, and what is stored stays where it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import product

import pytest

from medserver.crash import VARIABLE
from medserver.dicom import uids
from tests.attacks import exchange, legitimate, raw
from tests.attacks.conftest import OPTIONS
from tests.attacks.siege import Siege, SlowEcho
from tests.conftest import MakeDirectory
from tests.peers import requires
from tests.peers.node import CLIENTS, Node
from tests.peers.process import run
from tests.peers.wall_clock import WallClock
from tests.services import corpus
from tests.services.client import Client

HOUR_S = 3600
JUMPS = (HOUR_S, 0, -HOUR_S, HOUR_S, 0)

ACSE_TIMEOUT_S, NETWORK_TIMEOUT_S = OPTIONS["limits.acse_timeout_s"], OPTIONS["limits.network_timeout_s"]
ECHO_MAX_S = 2.5
LATE_S = 2.5
"""How much later than its time a timer may be noticed on a busy machine; with the linger of a second."""


@pytest.fixture(scope="module")
def clock(make_directory: MakeDirectory) -> WallClock:
    """Give the wall clock of the node."""
    requires("faketime")
    return WallClock(make_directory("clock"))


@pytest.fixture(autouse=True)
def right(clock: WallClock) -> None:
    """Begin with a clock that is right."""
    clock.set(0)


@pytest.fixture(scope="module")
def siege(clock: WallClock, make_directory: MakeDirectory) -> Iterator[Siege]:
    """Give a node that sees the clock."""
    directory = make_directory("node")
    node = Node(directory, options=OPTIONS, clients=(*CLIENTS, legitimate.AE_TITLE))
    with ExitStack() as stack:
        stack.callback(lambda: sys.stdout.write(node.output[-20_000:]))
        stack.callback(node.kill)
        siege = Siege(node.start(environment=clock.environment))
        stack.callback(siege.close)
        yield siege


def withstands(siege: Siege, attack: Callable[[], None]) -> None:
    """Assert what `Siege.withstands` does, with a wider bound for the C-ECHOs.

    With libfaketime the start of a thread alone takes up to a quarter of a second, whether the clock jumps or not.
    """
    with suppress(SlowEcho), siege.withstood():
        attack()
    assert siege.slowest_s < ECHO_MAX_S


def test_the_node_can_sleep(clock: WallClock) -> None:
    """Whatever its clock says; without `true_sleep` it cannot."""
    clock.set(HOUR_S)
    program = "import time; begin = time.monotonic(); time.sleep(0.02); assert time.monotonic() - begin >= 0.02"
    run([sys.executable, "-c", program], environment=clock.environment).check()


# -- open associations ----------------------------------------------------------------------------------------------


def test_open_associations_go_on(siege: Siege, clock: WallClock) -> None:
    """Nobody is taken for silent, neither before nor after the request; and the log shows that the clock did jump."""
    address = siege.node.address

    def attack() -> None:
        for offset_s in JUMPS:
            with raw.associate(address, "STORESCU") as established, raw.connect(address) as connected:
                clock.set(offset_s)
                established.sendall(raw.echo_request())
                assert raw.receive_status(established) == 0
                connected.sendall(raw.associate_request(address, "STORESCU"))
                assert raw.receive_pdu(connected)[0] == raw.ASSOCIATE_AC
                established.sendall(raw.echo_request())
                assert raw.receive_status(established) == 0
                raw.release(established)

    withstands(siege, attack)
    hours = {line[:13] for line in siege.node.output.splitlines()}
    assert len(hours) >= 3


def test_timers_expire_when_they_should(siege: Siege, clock: WallClock) -> None:
    """The silent are given up in time: not at once when the clock goes ahead, and not in an hour when it goes back."""
    address = siege.node.address

    def attack() -> None:
        clock.set(0)
        with raw.connect(address) as connected, raw.associate(address, "STORESCU") as established:
            began_at = time.monotonic()
            clock.set(HOUR_S)
            assert raw.receive_until_closed(connected) == b""
            connected_s = time.monotonic() - began_at
            clock.set(-HOUR_S)
            assert raw.receive_until_closed(established)[0] == raw.ABORT
            established_s = time.monotonic() - began_at
        assert ACSE_TIMEOUT_S - 0.5 < connected_s < ACSE_TIMEOUT_S + LATE_S
        assert NETWORK_TIMEOUT_S - 0.5 < established_s < NETWORK_TIMEOUT_S + LATE_S

    withstands(siege, attack)


# -- transfers ------------------------------------------------------------------------------------------------------


def transfer(siege: Siege, one: corpus.Object, between: Callable[[int], object]) -> int:
    """Store an instance and call a function between all the steps; return the status."""
    request = raw.associate_request(siege.node.address, "STORESCU", [raw.CT_STORAGE])
    command_set = raw.store_command_set(one.sop_instance_uid)
    message = raw.message(1, command_set, one.encoded)
    half = len(message) - len(one.encoded) // 2
    with raw.connect(siege.node.address) as sock:
        between(0)
        sock.sendall(request[:50])
        between(1)
        sock.sendall(request[50:])
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
        between(2)
        sock.sendall(message[:half])
        between(3)
        sock.sendall(message[half:])
        between(4)
        status = raw.receive_status(sock)
        between(5)
        raw.release(sock)
    return status


STEPS = 6
LARGE_BYTES = 1_200_000


def test_transfers_with_a_jump_between_two_steps(siege: Siege, clock: WallClock) -> None:
    """Each instance is stored, found, and comes back as it was sent: small ones from the journal, large from a file."""
    client = Client(siege.node.address)

    def attack() -> None:
        study = uids.new_uid()
        objects = []
        for step, offset_s in product(range(STEPS), (HOUR_S, -HOUR_S)):
            size_bytes = LARGE_BYTES if offset_s > 0 else 1000
            objects.append(corpus.make_object(StudyInstanceUID=study, PixelData=bytes(size_bytes)))
            clock.set(0)
            assert transfer(siege, objects[-1], lambda here: here == step and clock.set(offset_s)) == 0, step
        check_stored(client, objects)

    withstands(siege, attack)


def check_stored(client: Client, objects: list[corpus.Object]) -> None:
    """Assert that a study is found as it is, and comes back as it was sent."""
    study = {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID}
    found = client.find("STUDY", study | {"NumberOfStudyRelatedInstances": ""})
    assert found.values("NumberOfStudyRelatedInstances") == [str(len(objects))]
    got = client.get("STUDY", study, corpus.kinds_of(objects))
    received = {uid: data_set for uid, (_, data_set) in got.received.items()}
    assert received == {one.sop_instance_uid: one.encoded for one in objects}


# -- what is stored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicates", ["keep", "replace"])
def test_first_and_last_do_not_follow_the_clock(
    clock: WallClock, make_node: Callable[..., Node], duplicates: str
) -> None:
    """Which of two instances with one UID came first is known to the index, whatever the clock said then."""
    node = make_node(options={"store.duplicates": duplicates})
    node.start(environment=clock.environment)
    first = corpus.make_dataset(ImageComments="first")
    second = corpus.make_dataset(ImageComments="second")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(second, keyword, first[keyword].value)
    both = [corpus.encoded(first), corpus.encoded(second)]
    assert Client(node.address).store(both[0]) == [0]
    clock.set(-HOUR_S)
    assert Client(node.address).store(both[1]) == [0]
    remains = both[0] if duplicates == "keep" else both[1]
    check_stored(Client(node.address), [remains])


def restart(node: Node, clock: WallClock, offset_s: int) -> None:
    """Stop a node, set the clock, and start it again."""
    assert node.stop() == 0
    clock.set(offset_s)
    node.start(environment=clock.environment)
    assert "reconciliation:" not in node.output


def test_restarts_at_other_times(clock: WallClock, make_node: Callable[..., Node]) -> None:
    """Everything that was stored before and after jumps is there after each start, and nothing is to be mended."""
    node = make_node().start(environment=clock.environment)
    client = Client(node.address)
    studies = []
    for offset_s in (HOUR_S, -HOUR_S):
        studies.append(corpus.make_study(3))
        clock.set(offset_s)
        assert client.store(*studies[-1]) == [0, 0, 0]
        restart(node, clock, -offset_s)
        for study in studies:
            check_stored(client, study)
    assert node.stop() == 0
    assert node.cli("index", "check", "--digests").exit_code == 0


@pytest.mark.parametrize(
    ("point", "before_s", "after_s"),
    [
        ("journal flushed", HOUR_S, -HOUR_S),
        ("object sealed", 24 * HOUR_S, 0),
    ],
)
def test_crashes_behind_a_jump(
    clock: WallClock, make_node: Callable[..., Node], point: str, before_s: int, after_s: int
) -> None:
    """What is durable when the node dies is adopted by the next start, wherever the clock has been before."""
    node = make_node(options={"node.processes": 1})
    clock.set(before_s)
    node.start(environment=clock.environment | {VARIABLE: f"{point}:4"})
    client = Client(node.address)
    early, late = corpus.make_study(2), corpus.make_study(2)
    assert client.store(*early) == [0, 0]
    clock.set(after_s)
    assert exchange.store(node.address, late[0].encoded, late[0].sop_instance_uid) == 0
    with pytest.raises(ConnectionError):
        exchange.store(node.address, late[1].encoded, late[1].sop_instance_uid)
    node.kill()
    node.start(environment=clock.environment)
    check_stored(client, early)
    check_stored(client, late)
