"""A server that is called for the first time: its certificate is shown, and pinned."""

from __future__ import annotations

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.tls.secure import SecureNode


def test_shown_and_pinned(secure: SecureNode, dcmtk: Dcmtk) -> None:
    identity = secure.ca.issue("STORESCP")
    storescp = dcmtk.start_storescp(options=(*StoreSCP.DEFAULT_OPTIONS, *secure.options(identity)))
    secure.node.add_remote(storescp.address)
    assert secure.node.cli("ae", "echo", "STORESCP").exit_code != 0  # in the clear
    assert identity.fingerprint in secure.node.cli("tls", "show", "STORESCP").output
    told = secure.node.cli("tls", "trust", "STORESCP").output
    assert f"--certificate {identity.fingerprint}" in told
    other = secure.node.cli("tls", "trust", "STORESCP", "--certificate", secure.client.fingerprint)
    assert (other.exit_code, "shows another certificate" in other.output) == (2, True)
    trusted = secure.node.cli("tls", "trust", "STORESCP", "--certificate", identity.fingerprint)
    assert trusted.exit_code == 0, trusted.output
    assert secure.node.cli("ae", "echo", "STORESCP").exit_code == 0


@pytest.mark.parametrize("is_secure", [True, False])
def test_somebody_else_in_its_place_gets_nothing(secure: SecureNode, dcmtk: Dcmtk, is_secure: bool) -> None:
    """Whoever listens there with another certificate, or in the clear, gets not even a request."""
    other = secure.options(secure.ca.issue("OTHER")) if is_secure else ()
    storescp = dcmtk.start_storescp("FALSE", options=(*StoreSCP.DEFAULT_OPTIONS, *other))
    secure.allow(storescp.address, secure.ca.issue("TRUE"))
    failed = secure.node.cli("ae", "echo", "FALSE")
    assert failed.exit_code != 0
    assert ("somebody else" if is_secure else "is TLS spoken there?") in failed.output
    log = storescp.directory.parent / f"{storescp.directory.name}.log"
    assert "Association Acknowledged" not in log.read_text()
