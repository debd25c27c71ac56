"""HTTP as processes of the node: beside DIMSE, replaced when one dies, over HTTPS."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.conftest import NodeFactory
from tests.peers import proc
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_small
from tests.peers.node import Node
from tests.peers.process import wait_until

JSON = {"Accept": "application/dicom+json"}


@pytest.fixture
def serving(make_node: NodeFactory) -> Iterator[Node]:
    """A node that serves HTTP too."""
    node = make_node(options={"web.enabled": "yes", "web.port": 0, "web.processes": 2, "node.processes": 1})
    yield node.start()
    assert node.stop() == 0


def root_of(node: Node, scheme: str = "http") -> str:
    port = node.server.wait_for_line(r"listening .*web_port=(\d+)")[1]
    return f"{scheme}://127.0.0.1:{port}/dicom-web"


def token_of(node: Node, role: str = "operator") -> dict[str, str]:
    token = node.cli("token", "add", role, "--role", role).check().stdout.strip()
    return {"Authorization": f"Bearer {token}", **JSON}


def ask(url: str, headers: dict[str, str], **how: object) -> httpx.Response | None:
    """Ask; None while nobody answers."""
    try:
        return httpx.get(url, headers=headers, **how)
    except httpx.TransportError:
        return None


def test_what_comes_by_dimse_is_found_by_http(serving: Node, dcmtk: Dcmtk) -> None:
    root, headers = root_of(serving), token_of(serving)
    image = make_small(dcmtk.directory)[0]
    dcmtk.store(serving.address, image.path).check()
    wait_until(lambda: ask(f"{root}/studies", headers), what="HTTP")
    [study] = ask(f"{root}/studies", headers).json()
    assert study["00100020"]["Value"] == ["PHANTOM-2"]
    sent = httpx.post(
        f"{root}/studies", headers={**headers, "Content-Type": "application/dicom"}, content=image.path.read_bytes()
    )
    assert sent.status_code == 200  # the same once more
    dcmtk.echo(serving.address).check()


def test_a_process_that_dies_is_replaced_and_dimse_is_untouched(serving: Node, dcmtk: Dcmtk) -> None:
    root, headers = root_of(serving), token_of(serving)
    wait_until(lambda: ask(f"{root}/studies", headers), what="HTTP")
    before = set(proc.children_of(serving.server.process.pid))
    holders = [each for each in before if _listens(each, root)]
    assert len(holders) == 2
    for process_id in holders:
        os.kill(process_id, signal.SIGKILL)
    dcmtk.echo(serving.address).check()
    wait_until(lambda: len(set(proc.children_of(serving.server.process.pid)) - before) == 2, what="new processes")
    wait_until(lambda: ask(f"{root}/studies", headers), what="HTTP again")
    assert before - set(holders) <= set(proc.children_of(serving.server.process.pid))


def _listens(process_id: int, root: str) -> bool:
    """Tell whether a process holds the listening socket of HTTP."""
    port = int(root.split(":")[2].partition("/")[0])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    return any(os.readlink(each) in inodes for each in Path(f"/proc/{process_id}/fd").iterdir())


def test_https(make_node: NodeFactory, tmp_path: Path) -> None:
    authority = trustme.CA()
    put(authority, tmp_path)
    options = {"web.enabled": "yes", "web.port": 0, "web.processes": 1, "node.processes": 1}
    options |= {"web.certificate": tmp_path / "web.pem", "web.key": tmp_path / "web.key"}
    node = make_node(options=options).start()
    root, headers = root_of(node, "https"), token_of(node)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    answer = wait_until(lambda: ask(f"{root}/studies", headers, verify=context), what="HTTPS")
    assert answer.status_code == 204
    assert ask(root.replace("https", "http") + "/studies", headers) is None
    port = int(root.split(":")[2].partition("/")[0])
    before = shown(port, authority)
    put(authority, tmp_path)
    assert shown(port, authority) != before
    (tmp_path / "web.key").write_text("damaged")
    assert shown(port, authority) not in (None, before)  # the last one that could be read
    for ciphers in ("ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "DHE:RSA"):
        assert shown(port, authority, ciphers) is None  # without authenticated encryption, or ephemeral keys
    assert shown(port, authority, "ECDHE+AESGCM") is not None
    assert node.stop() == 0


def test_a_key_that_others_can_read_is_refused(make_node: NodeFactory, tmp_path: Path) -> None:
    put(trustme.CA(), tmp_path)
    (tmp_path / "web.key").chmod(0o644)
    options = {"web.enabled": "yes", "web.port": 0, "web.certificate": tmp_path / "web.pem"}
    node = make_node(options={**options, "web.key": tmp_path / "web.key"})
    refused = node.cli("serve")
    assert refused.exit_code == 78 and "others can read or change the private key" in refused.output


def put(authority: trustme.CA, folder: Path) -> None:
    """Put a new certificate with its key into a folder, in the place of those that are there."""
    certificate = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    for name, blob in (("web.key", certificate.private_key_pem), ("web.pem", certificate.cert_chain_pems[0])):
        new = folder / f"{name}.new"
        new.touch(mode=0o600)
        new.write_bytes(blob.bytes())
        new.replace(folder / name)


def shown(port: int, authority: trustme.CA, ciphers: str = "") -> bytes | None:
    """Return the certificate that is shown to a client, in TLS 1.2 where it names suites; None without a handshake."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        try:
            return context.wrap_socket(sock, server_hostname="127.0.0.1").getpeercert(binary_form=True)
        except ssl.SSLError:
            return None


def test_certificate_without_a_key(make_node: NodeFactory) -> None:
    node = make_node(options={"web.enabled": "yes", "web.certificate": "web.pem"})
    refused = node.cli("config", "check")
    assert refused.exit_code == 78 and "[web] certificate and key go together" in refused.output
