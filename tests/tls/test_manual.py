"""The way of the manual's text: certificates that both sides have signed themselves, pinned to each other."""

from __future__ import annotations

import re
from pathlib import Path

from medserver.cli.manual import pages
from tests.conftest import NodeFactory
from tests.peers import Address, requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.ports import free_port
from tests.peers.process import run

OF_OPENSSL = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=CT1")


def test_self_made_certificates_of_both_sides(make_node: NodeFactory, dcmtk: Dcmtk, tmp_path: Path) -> None:
    requires("openssl")
    node = make_node(clients=())
    made = node.cli("tls", "new", "--host", "127.0.0.1")
    assert made.exit_code == 0, made.output
    tls = Address("MEDSERVER", free_port())
    node.set_section("tls", {"certificate": "tls/medserver.pem", "key": "tls/medserver.key"})
    node.set_section("node", {**node.section("node"), "tls_port": tls.port})
    node.start()
    key, certificate = tmp_path / "ct1.key", tmp_path / "ct1.pem"
    run([*OF_OPENSSL, "-keyout", key, "-out", certificate]).check()
    options = ["+tls", str(key), str(certificate), "+cf", str(node.data / "tls" / "medserver.pem")]
    images = [one.path for one in make_series(tmp_path / "images", 2)]

    refused = dcmtk.store(tls, *images, calling_ae_title="CT1", options=options)
    assert "Calling AE Title Not Recognized" in refused.output
    command = re.search(r"ae approve .*", node.cli("ae", "pending").output)[0].split()
    assert fingerprint_by_openssl(certificate) in " ".join(command)
    approved = node.cli(*command)
    assert approved.exit_code == 0, approved.output
    assert dcmtk.store(tls, *images, calling_ae_title="CT1", options=options).check().statuses == (0, 0)


def fingerprint_by_openssl(certificate: Path) -> str:
    """Return the fingerprint as the command of the manual shows it."""
    [command] = re.findall(r"^   (openssl x509 .*)$", pages()["tls"], re.MULTILINE)
    shown = run(["sh", "-c", command.replace("ct1.pem", str(certificate))]).check().output
    return f"sha256:{shown.split()[0]}"
