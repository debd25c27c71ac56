"""Users with secrets, over TLS: whom peers name to the node, and whom it names to them (PS3.7 D.3.3.7)."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_small
from tests.peers.ports import free_port
from tests.tls.secure import SecureNode
from tests.tls.test_pynetdicom import context_of

PASSCODE = "correct horse"


@pytest.fixture(scope="module")
def users(secure: SecureNode) -> SecureNode:
    """Give a node with a user who has a passcode, and an issuer of tokens."""
    file = secure.directory / "anna"
    file.write_text(PASSCODE + "\n")
    secure.node.cli("user", "add", "anna", "--role", "operator", "--passcode-file", file).check()
    secure.allow("STORESCU", secure.client, identity="required")
    return secure


def store(users: SecureNode, dcmtk: Dcmtk, *options: str) -> int:
    image = make_small(dcmtk.directory)[0].path
    return dcmtk.store(users.tls, image, options=(*users.options(), *options)).exit_code


def test_a_passcode(users: SecureNode, dcmtk: Dcmtk) -> None:
    assert store(users, dcmtk, "-usr", "anna", "-pwd", PASSCODE, "-rsp") == 0
    assert store(users, dcmtk, "-usr", "anna", "-pwd", "wrong horse") != 0
    assert store(users, dcmtk, "-usr", "anna") != 0
    assert store(users, dcmtk) != 0
    assert PASSCODE not in users.node.output and "wrong horse" not in users.node.output
    pending = users.node.cli("ae", "pending").output
    assert "no user is named" in pending and PASSCODE not in pending


def test_a_token(users: SecureNode, dcmtk: Dcmtk, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65_537, 2048)
    (users.directory / "issuer.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    users.node.set_section(
        "issuer hospital",
        {"issuer": "https://login.example", "audience": "medserver", "keys": users.directory / "issuer.pem"},
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    claims = {"iss": "https://login.example", "aud": "medserver", "sub": "berta", "roles": ["operator"]}
    token = tmp_path / "token"
    token.write_text(jwt.encode({**claims, "exp": int(time.time()) + 300}, private, algorithm="RS256"))
    assert store(users, dcmtk, "--jwt", str(token), "-rsp") == 0
    assert users.node.server.wait_for_line(r"association .*user=berta@hospital")
    token.write_text(jwt.encode({**claims, "exp": int(time.time()) - 300}, private, algorithm="RS256"))
    assert store(users, dcmtk, "--jwt", str(token)) != 0


class Listening:
    """pynetdicom as an acceptor that notes which user is named."""

    def __init__(self, secure: SecureNode, *, is_secure: bool) -> None:
        self.named: list[tuple[int, bytes, bytes]] = []
        self.address = Address("LISTENING", free_port())
        self.identity = secure.ca.issue("LISTENING")
        ae = AE("LISTENING")
        ae.add_supported_context(Verification)
        context = context_of(secure, self.identity, ssl.PROTOCOL_TLS_SERVER) if is_secure else None
        self.server = ae.start_server(
            (self.address.host, self.address.port), block=False, ssl_context=context,
            evt_handlers=[(evt.EVT_USER_ID, self._note)],
        )  # fmt: skip

    def _note(self, event) -> tuple[bool, None]:
        self.named.append((event.user_id_type, event.primary_field, event.secondary_field))
        return True, None


@pytest.mark.parametrize("is_secure", [True, False])
def test_whom_the_node_names(users: SecureNode, tmp_path: Path, is_secure: bool) -> None:
    passcode, token = tmp_path / "passcode", tmp_path / "token"
    for file, text in ((passcode, PASSCODE), (token, "a.b.c")):
        file.write_text(text + "\n")
        file.chmod(0o600)
    listening = Listening(users, is_secure=is_secure)
    tls = {"tls": "required", "certificates": listening.identity.fingerprint} if is_secure else {}

    def echo(**options: object) -> tuple[int, str]:
        users.node.add_remote(listening.address, options={**tls, **options})
        done = users.node.cli("ae", "echo", "LISTENING")
        return done.exit_code, done.output

    try:
        assert echo()[0] == 0 and listening.named == []
        assert echo(user="anna")[0] == 0 and listening.named.pop() == (1, b"anna", b"")
        for options, expected in (
            ({"user": "anna", "passcode_file": passcode}, (2, b"anna", PASSCODE.encode())),
            ({"token_file": token}, (5, b"a.b.c", b"")),
        ):
            exit_code, output = echo(**options)
            if is_secure:
                assert exit_code == 0 and listening.named.pop() == expected
            else:
                assert exit_code != 0 and "sent over TLS alone" in output and listening.named == []
        passcode.chmod(0o640)
        exit_code, output = echo(user="anna", passcode_file=passcode)
        assert exit_code != 0 and listening.named == []
        assert ("others can read" in output) == is_secure and PASSCODE not in output
    finally:
        listening.server.shutdown()
