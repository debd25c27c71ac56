"""medserver doctor."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from medserver.dicom import uids
from tests.peers import Address
from tests.peers.command_line import invoke
from tests.peers.ports import free_port


NOBODY = 65534
"""A user who owns nothing."""


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


def _steps(completed) -> dict[str, dict[str, str]]:
    return {step["name"]: step for step in json.loads(completed.output)["steps"]}


@contextmanager
def _deaf_server():
    """Listen as a program that is not DICOM: it closes every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            try:
                while True:
                    listener.accept()[0].close()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_node_that_never_ran(make_node):
    node = make_node()
    completed = node.cli("doctor", "--json")
    steps = _steps(completed)
    assert completed.exit_code == 0, completed.output
    assert steps["port"]["state"] == "warning" and "not running" in steps["port"]["text"]
    assert steps["index"]["state"] == "ok"
    assert not node.data.exists()


def test_who_may_not_look_into_the_folders_is_told_whose_they_are() -> None:
    """Another user, for root may look everywhere; in a folder of its own, for nobody else enters that of the tests."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who can become another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - it is empty but for the configuration
        config = Path(folder) / "config.ini"
        config.write_text("[node]\n")
        (Path(folder) / "data").mkdir(mode=0o700)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            answers = [invoke("--config", config, *command) for command in (["doctor"], ["jobs"], ["index", "counts"])]
            os.write(writing, json.dumps([answer.output for answer in answers]).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            doctor, jobs, counts = json.loads(pipe.read())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        data = config.resolve().parent / "data"
    assert doctor.count(f"no permission in {data}.") == 2 and doctor.count("belongs to root") == 2
    problem = f"medserver: the data folder {data} cannot be locked: Permission denied: run this as root\n"
    assert jobs == counts == problem


def test_running_node_and_its_peers(make_node, dcmtk):
    storescp = dcmtk.start_storescp()
    node = make_node()
    node.add_remote(storescp.address)
    node.add_remote(Address("DOWN", free_port()))
    node.start()
    completed = node.cli("doctor")
    assert completed.exit_code == 0, completed.output
    assert "The node is running and answers" in completed.output
    assert "[ae STORESCP]" in completed.output and "answers, in" in completed.output
    assert "[ae DOWN] does not answer" in completed.output
    assert "without the known corruption bug" in completed.output
    assert node.cli("ae", "pending").output == "no unknown AE was rejected\n"


def test_mistakes_in_the_configuration(make_node):
    completed = make_node().cli("--set", "node.prot=1", "doctor", "--json")
    assert completed.exit_code == 1
    assert "prot" in _steps(completed)["configuration"]["text"]


def test_port_of_another_program(make_node):
    with _deaf_server() as port:
        completed = make_node(options={"node.port": port}).cli("doctor", "--json")
    assert completed.exit_code == 1
    assert "is not this node" in _steps(completed)["port"]["text"]


def test_folder_that_cannot_be(make_node, tmp_path):
    (tmp_path / "file").write_text("in the way")
    completed = make_node(options={"volume main.path": tmp_path / "file" / "store"}).cli("doctor", "--json")
    assert completed.exit_code == 1
    assert _steps(completed)["volume main"]["state"] == "problem"


def test_peer_dcmqrscp(make_node, dcmtk):
    dcmqrscp = dcmtk.start_dcmqrscp()
    completed = make_node().cli("doctor", _peer(dcmqrscp.address), "--json")
    assert completed.exit_code == 0, completed.output
    document = json.loads(completed.output)
    assert document["implementation_version_name"].startswith("OFFIS_DCMTK")
    assert document["pdu_length_max"] == 131072
    assert "1.2.840.10008.5.1.4.1.2.2.1" in document["accepted"]
    ct = document["accepted"]["1.2.840.10008.5.1.4.1.1.2"]
    assert ct["transfer_syntaxes"] == ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
    assert {"entry", "connection", "association", "echo", "services", "storage"} <= set(_steps(completed))


def test_peer_ourselves_thoroughly(make_node):
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    completed = node.cli("doctor", _peer(node.address), "--thorough")
    assert completed.exit_code == 0, completed.output
    assert "It knows us" in completed.output
    count = len(uids.STORAGE_SOP_CLASSES)
    assert f"{count} of {count} storage SOP classes" in completed.output
    assert "all 53 transfer syntaxes" in completed.output


def test_peer_that_does_not_know_us(node):
    completed = node.cli("doctor", _peer(node.address), "-aet", "STRANGER")
    assert completed.exit_code == 1
    assert "it does not know us by our AE title" in completed.output


def test_peer_of_another_title(make_node):
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    completed = node.cli("doctor", _peer(node.address), "-aec", "OTHER")
    assert completed.exit_code == 1
    assert "it is not called by this AE title" in completed.output


def test_peer_that_is_down(make_node):
    completed = make_node().cli("doctor", f"DOWN@127.0.0.1:{free_port()}")
    assert completed.exit_code == 1
    assert "nothing listens at port" in completed.output


def test_name_that_means_nothing(make_node):
    completed = make_node().cli("doctor", "PEER@no-such-host.invalid:104")
    assert completed.exit_code == 1
    assert "cannot be resolved" in completed.output


def test_peer_that_is_not_dicom(make_node):
    with _deaf_server() as port:
        completed = make_node().cli("doctor", f"WEB@127.0.0.1:{port}")
    assert completed.exit_code == 1
    assert "It may not be a DICOM program" in completed.output
