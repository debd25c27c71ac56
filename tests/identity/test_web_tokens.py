"""JSON Web Tokens: each claim, each algorithm, and what attackers have sent (RFC 8725)."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from medserver.config import Issuer
from medserver.errors import IdentityRefused
from medserver.identity.principal import User
from medserver.identity.web_tokens import user_of_token

AUDIENCE, ISSUER = "medserver", "https://login.hospital.example"


class Keys:
    """A key pair, and its public half in a file."""

    def __init__(self, folder: Path, name: str, *, elliptic: bool = False) -> None:
        private = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65_537, 2048)
        self.private = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"), "first")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"), "other")


def issuer_with(*paths: Path, **changed: Any) -> Issuer:
    values: dict[str, Any] = {
        "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("RS256", "ES256"), "subject_claim": "sub",
        "roles_claim": "roles", "roles": (), "leeway_s": 60,
    }  # fmt: skip
    return Issuer("hospital", keys=paths, **{**values, **changed})


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    values = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": now + 600, "roles": ["reader"]}
    return {name: value for name, value in {**values, **changed}.items() if value is not None}


def signed(keys: Keys, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> bytes:
    return jwt.encode(claims(**changed), keys.private, algorithm=algorithm, headers=headers).encode()


def test_a_user_and_its_roles(keys: Keys) -> None:
    assert user_of_token(signed(keys), [issuer_with(keys.path)]) == User("anna@hospital", ("reader",))


@pytest.mark.parametrize(
    ("told", "roles"),
    [
        (["reader", "admin", "cook"], ("admin", "reader")),
        ("operator reader", ("operator", "reader")),
        ({"admin": True}, ()),
        ([["admin"]], ()),
        (None, ()),
        (7, ()),
    ],
)
def test_roles_that_are_known(keys: Keys, told: Any, roles: tuple[str, ...]) -> None:
    assert user_of_token(signed(keys, roles=told), [issuer_with(keys.path)]).roles == roles


def test_roles_of_the_configuration_and_another_claim(keys: Keys) -> None:
    issuer = issuer_with(keys.path, roles=("auditor",), subject_claim="upn", roles_claim="")
    assert user_of_token(signed(keys, upn="a@b"), [issuer]) == User("a@b@hospital", ("auditor",))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1}, {"exp": None}, {"exp": "tomorrow"}, {"aud": "other"}, {"aud": None}, {"nbf": 2**40},
        {"iss": "https://other.example"}, {"iss": None}, {"sub": ""}, {"sub": None}, {"sub": " "}, {"sub": "x" * 201},
        {"sub": "an\0na"}, {"sub": "anna\nadmin"}, {"sub": "\ud800"}, {"sub": "\u202eanna"}, {"sub": "\u00fc" * 101},
    ],
    ids=lambda changed: str(changed)[:20],
)  # fmt: skip
def test_what_is_refused(keys: Keys, changed: dict[str, Any]) -> None:
    with pytest.raises(IdentityRefused):
        user_of_token(signed(keys, **changed), [issuer_with(keys.path)])


def test_clocks_may_be_apart_as_far_as_is_said(keys: Keys) -> None:
    token = signed(keys, exp=int(time.time()) - 30)
    assert user_of_token(token, [issuer_with(keys.path)]).name == "anna@hospital"
    with pytest.raises(IdentityRefused, match="expired"):
        user_of_token(token, [issuer_with(keys.path, leeway_s=0)])


def test_a_key_that_is_not_configured(keys: Keys, others: Keys) -> None:
    with pytest.raises(IdentityRefused, match="none of the configured issuers"):
        user_of_token(signed(others), [issuer_with(keys.path)])
    assert user_of_token(signed(others), [issuer_with(keys.path, others.path)]).name == "anna@hospital"


def test_an_algorithm_that_is_not_configured(keys: Keys) -> None:
    with pytest.raises(IdentityRefused):
        user_of_token(signed(keys, "RS512"), [issuer_with(keys.path)])


def encoded(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def test_no_signature(keys: Keys) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        token = encoded({"alg": algorithm, "typ": "JWT"}) + b"." + encoded(claims()) + b"."
        with pytest.raises(IdentityRefused):
            user_of_token(token, [issuer_with(keys.path)])


def test_the_public_key_is_no_secret(keys: Keys) -> None:
    """The key of RS256 taken for that of HS256 (RFC 8725 2.1)."""
    import hashlib
    import hmac

    message = encoded({"alg": "HS256", "typ": "JWT"}) + b"." + encoded(claims())
    signature = base64.urlsafe_b64encode(hmac.digest(keys.public, message, hashlib.sha256)).rstrip(b"=")
    with pytest.raises(IdentityRefused):
        user_of_token(message + b"." + signature, [issuer_with(keys.path)])


def test_a_key_in_the_token_is_not_looked_at(keys: Keys, others: Keys) -> None:
    import jwt.algorithms

    public = jwt.algorithms.RSAAlgorithm.to_jwk(jwt.algorithms.RSAAlgorithm(hash_alg=None).prepare_key(others.public))
    headers = {"jwk": json.loads(public), "jku": "https://evil.example/keys", "kid": str(others.path)}
    with pytest.raises(IdentityRefused):
        user_of_token(signed(others, headers=headers), [issuer_with(keys.path)])


@pytest.mark.parametrize("token", [b"", b".", b"..", b"a.b.c", b"\xff" * 40, b"x" * 20_000, b"e30.e30.e30", b"{}"])
def test_what_is_no_token(keys: Keys, token: bytes) -> None:
    with pytest.raises(IdentityRefused):
        user_of_token(token, [issuer_with(keys.path)])


def test_an_elliptic_key(tmp_path: Path) -> None:
    elliptic = Keys(tmp_path, "elliptic", elliptic=True)
    assert user_of_token(signed(elliptic, "ES256"), [issuer_with(elliptic.path)]).name == "anna@hospital"


def test_a_key_that_is_not_there(tmp_path: Path, keys: Keys) -> None:
    with pytest.raises(IdentityRefused, match="No such file"):
        user_of_token(signed(keys), [issuer_with(tmp_path / "gone.pem")])
    assert user_of_token(signed(keys), [issuer_with(tmp_path / "gone.pem", keys.path)]).name == "anna@hospital"


def test_no_issuer(keys: Keys) -> None:
    with pytest.raises(IdentityRefused, match="no .issuer NAME. is configured"):
        user_of_token(signed(keys), [])
