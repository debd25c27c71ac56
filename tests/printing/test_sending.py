"""``medserver print send``, and the hard-copy device that ``medserver printer serve`` is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest

from medserver.config import ConfigFile
from medserver.config.device import device_configuration, prepare_device
from medserver.errors import BadUsage, ConfigError
from tests.conftest import MakeDirectory
from tests.peers import Address, command_line
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.peers.preloaded import PROGRAM, PreloadedServer
from tests.peers.process import Server
from tests.printing.test_pulling import (  # noqa: F401 - fixtures
    SLICES,
    dcmtk_programs,
    files,
    pages_of,
    server,
    stored,
    wait_until_forgotten,
)
from tests.processing import phantoms

STUDY, SERIES = f"{phantoms.UID}.0", f"{phantoms.UID}.1"


@pytest.fixture(scope="module")
def printing(make_directory: MakeDirectory, dcmtk_programs, files) -> Iterator[Node]:  # noqa: F811
    """Give a node with a printer, and the series."""
    node = Node(make_directory("printing"), clients=("STORESCU",))
    node.set_section("printer film", {"output": "pdf", "folder": "films", "media": "A4, 14INX17IN"})
    node.start()
    assert dcmtk_programs.store(node.address, *files).exit_code == 0
    yield node
    node.kill()


def images(path: Path) -> int:
    """Count the images on the first page of a file."""
    with pypdfium2.PdfDocument(path) as document:
        return len(list(document[0].get_objects([3])))


@pytest.mark.parametrize(
    "uids, options, pages",
    [
        ((STUDY,), ("--layout", "2,2"), 2),
        ((SERIES,), ("--layout", "2,3", "--film-size", "14INX17IN", "--orientation", "LANDSCAPE"), 1),
        ((f"{phantoms.UID}.1.2", f"{phantoms.UID}.1.1:1"), ("--copies", "2", "--window", "40,400"), 1),
    ],
)
def test_images_are_printed(printing: Node, uids: tuple[str, ...], options: tuple[str, ...], pages: int) -> None:
    before = set(pages_of(printing))
    sent = printing.cli("print", "send", *uids, "--to", "film", *options, "--wait", "--json")
    assert sent.exit_code == 0, sent.stderr
    films = json.loads(sent.stdout)["films"]
    assert [film["state"] for film in films] == ["DONE"] * pages
    assert len(set(pages_of(printing)) - before) == pages


@pytest.mark.parametrize(
    "arguments, exit_code, message",
    [
        ((STUDY, "--to", "flim"), 2, "there is no [printer flim]"),
        ((STUDY, "--layout", "99,99"), 2, "layout"),
        ((STUDY, "--film-size", "A3"), 2, "film_size: film has A4, 14INX17IN, not A3"),
        ((STUDY, "--copies", "21"), 2, "copies: film prints at most 20"),
        ((STUDY, "--copies", "many"), 2, "copies is 'many', and no number"),
        ((f"{STUDY}:1",), 2, "has no frames"),
        (("x y",), 2, "is not a UID"),
        (("9.9",), 66, "there is no study, series or instance 9.9"),
    ],
)
def test_what_cannot_be_printed(printing: Node, arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    sent = printing.cli("print", "send", *arguments)
    assert message in sent.stderr
    assert sent.exit_code == exit_code


class Device(Node):
    """The node that the command runs: its configuration is what that has written."""

    def __init__(self, folder: Path, address: Address) -> None:
        self.directory, self.address, self.config = folder, address, folder / "config.ini"

    @property
    def data(self) -> Path:
        """The folder in which its films are."""
        return self.directory


@pytest.fixture(scope="module")
def device(make_directory: MakeDirectory, server: Node) -> Iterator[Node]:  # noqa: F811
    """Give the hard-copy device that the command runs, in a folder where there was nothing."""
    folder = make_directory("device") / "gateway"
    address = Address("GATEWAY", free_port())
    process: Server = PreloadedServer(
        [*PROGRAM, "printer", "serve", "--folder", folder, "--ae-title", "GATEWAY", "--port", str(address.port),
         "--address", "127.0.0.1", "--from", f"SERVER@127.0.0.1:{server.address.port}",
         "--client", "WS1@127.0.0.1", "--client", "SERVER2@127.0.0.1", "--media", "A4"],
        log=folder.parent / "serve.log", environment=dict(os.environ), directory=folder.parent,
    )  # fmt: skip
    process.wait_for_port(address)
    yield Device(folder, address)
    process.kill()


@pytest.mark.parametrize("named", [STUDY, f"{STUDY}/{SERIES}", f"{STUDY}/{SERIES}/{phantoms.UID}.1.2"])
def test_the_device_prints_what_is_elsewhere(device: Node, named: str) -> None:
    before = set(pages_of(device))
    sent = device.cli("print", "send", named, "--from", "SERVER", "--layout", "2,3", "--wait")
    assert sent.exit_code == 0, sent.stderr
    [name] = set(pages_of(device)) - before
    assert "Yamada Tarou" in pages_of(device)[name]
    wait_until_forgotten(device)


def test_a_node_has_its_images_printed_by_the_device(device: Node, server: Node) -> None:  # noqa: F811
    """It sends a work item with format and UIDs; the device fetches the images from it."""
    before = set(pages_of(device))
    peer = f"GATEWAY@127.0.0.1:{device.address.port}"
    sent = server.cli("print", "send", STUDY, "--at", peer, "--calling", "WS1", "--layout", "3,2", "--wait")
    assert sent.exit_code == 0, sent.stderr
    assert len(set(pages_of(device)) - before) == 1
    wait_until_forgotten(device)
    assert stored(server) == SLICES


def test_a_configuration_that_is_there_counts(tmp_path: Path) -> None:
    first = device_configuration({"ae_title": "GW", "port": "104"}, {}, sources=["S@10.0.0.1:104"])
    path = prepare_device(tmp_path / "device", first)
    config = ConfigFile(path).current
    assert (config.node.ae_title, config.node.port) == ("GW", 104)
    assert config.printers[0].folder == tmp_path / "device" / "data" / ".." / "films"
    assert [(one.name, sorted(one.allow)) for one in config.remotes] == [("S", ["echo", "store"])]
    written = path.read_bytes()
    assert prepare_device(tmp_path / "device", first) == path
    assert prepare_device(tmp_path / "device", device_configuration({}, {})) == path
    assert path.read_bytes() == written
    with pytest.raises(BadUsage, match=r"\[node\] port = 104"):
        prepare_device(tmp_path / "device", device_configuration({"port": "105"}, {}))


@pytest.mark.parametrize(
    "node, printer, more",
    [
        ({}, {"url": "ipp://p/x", "folder": "/f"}, {}),
        ({}, {}, {"sources": ["SERVER"]}),
        ({}, {}, {"imager": "@host"}),
        ({"port": "many"}, {}, {}),
        ({"ae_title": "A\n[ae X]\naddress = 1.2.3.4"}, {}, {}),
        ({}, {"url": "http://p"}, {}),
        ({}, {"media": "A9"}, {}),
    ],
)
def test_a_device_that_cannot_be(tmp_path: Path, node: dict, printer: dict, more: dict) -> None:
    with pytest.raises((BadUsage, ConfigError)):
        prepare_device(tmp_path / "device", device_configuration(node, printer, **more))
    assert not os.path.exists(tmp_path / "device" / "config.ini")


def test_outputs(tmp_path: Path) -> None:
    for name, printer, imager in [
        ("a", {"url": "ipp://host/x"}, None), ("b", {"folder": str(tmp_path)}, None), ("c", {}, "IM@10.0.0.9:104"),
    ]:  # fmt: skip
        path = prepare_device(tmp_path / name, device_configuration({}, printer, imager=imager))
        [made] = ConfigFile(path).current.printers
        assert (made.output, made.name) == ({"a": "ipp", "b": "pdf", "c": "dicom"}[name], "printer")


def test_help() -> None:
    said = command_line.invoke("print", "send", "--help").stdout
    assert "--presentation-state" in said and "--to NAME" in said
