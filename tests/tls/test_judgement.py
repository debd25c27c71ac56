"""Whether a certificate proves that who shows it is an AE: a table of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL.crypto import TYPE_RSA, PKey

from medserver.config import Security
from medserver.config.security import ACCEPTED, NOT_SECURE, REQUIRED
from medserver.tls.certificate import CLIENT, SERVER, certificate_of, name_of_host
from medserver.tls.judgement import Presented, judge
from tests.certificates import DAY, Identity, TestCA
from tests.conftest import MakeDirectory

NOW = datetime.now(UTC)


class World:
    """Two CAs, and what they have signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca, self.other = TestCA(directory), TestCA(directory, "other")
        self.one, self.two = self.ca.issue("ONE", "one.example", "10.0.0.1"), self.ca.issue("TWO")
        self.foreign = self.other.issue("ONE", "one.example")


@pytest.fixture(scope="module")
def world(make_directory: MakeDirectory) -> World:
    return World(make_directory("world"))


def shown(identity: Identity) -> Presented:
    return Presented.of(x509.load_pem_x509_certificates(identity.certificate.read_bytes()))


def pinned(*identities: Identity, **more: object) -> Security:
    return Security(REQUIRED, frozenset(one.fingerprint for one in identities), **more)


def test_a_pin_is_enough(world: World) -> None:
    verdict = judge(pinned(world.one, world.two), shown(world.two), now=NOW)
    assert (verdict.problem, verdict.certificate.verified_by) == ("", "pin")
    assert judge(pinned(world.one), shown(world.two), now=NOW).problem


@pytest.mark.parametrize(
    ("level", "in_the_clear", "over_tls"), [(NOT_SECURE, True, False), (ACCEPTED, True, True), (REQUIRED, False, True)]
)
def test_levels(world: World, level: str, in_the_clear: bool, over_tls: bool) -> None:
    security = Security(level, frozenset({world.one.fingerprint}))
    assert (judge(security, None, now=NOW).problem == "") == in_the_clear
    assert (judge(security, shown(world.one), now=NOW).problem == "") == over_tls


@pytest.mark.parametrize(
    ("names", "is_own_ca", "who", "is_good"),
    [
        ({"cn:ONE"}, False, "one", True),
        ({"dns:one.example"}, False, "one", True),
        ({"cn:ONE"}, False, "two", False),
        ({"cn:ONE"}, True, "two", False),
        ({"cn:ONE"}, False, "foreign", False),
        (set(), True, "two", True),
        (set(), True, "foreign", False),
        (set(), False, "one", False),  # of the CA of all: everybody would be everybody
    ],
)
def test_cas_and_names(world: World, names: set[str], is_own_ca: bool, who: str, is_good: bool) -> None:
    security = Security(REQUIRED, names=frozenset(names), ca=world.ca.certificate, is_own_ca=is_own_ca)
    verdict = judge(security, shown(getattr(world, who)), now=NOW)
    assert (verdict.problem == "") == is_good, verdict.problem
    assert verdict.certificate.verified_by == ("ca" if is_good else "")


@pytest.mark.parametrize(
    ("host", "is_good"), [("one.example", True), ("ONE.example", True), ("10.0.0.1", True), ("two.example", False)]
)
def test_a_server_without_pin_and_name_has_that_of_its_host(world: World, host: str, is_good: bool) -> None:
    security = Security(REQUIRED, ca=world.ca.certificate)
    verdict = judge(security, shown(world.one), purpose=SERVER, host=host, now=NOW)
    assert (verdict.problem == "") == is_good, verdict.problem


def test_a_pin_excludes_the_host(world: World) -> None:
    security = pinned(world.two, ca=world.ca.certificate)
    assert judge(security, shown(world.one), purpose=SERVER, host="one.example", now=NOW).problem


def test_validity_counts_for_pins_too(world: World) -> None:
    certificate = shown(world.one).certificate
    for moment, is_good in (
        (certificate.not_before, True),
        (certificate.not_before - timedelta(seconds=1), False),
        (certificate.not_after, True),
        (certificate.not_after + timedelta(seconds=1), False),
    ):
        assert (judge(pinned(world.one), shown(world.one), now=moment).problem == "") == is_good


def test_revocation_counts_for_pins_and_names(world: World) -> None:
    crl = world.ca.revoke(world.two, path=world.directory / "two.crl")
    names = {"names": frozenset({"cn:ONE", "cn:TWO"}), "ca": world.ca.certificate}
    for security in (pinned(world.one, world.two, crl=crl), Security(REQUIRED, crl=crl, **names)):
        assert judge(security, shown(world.one), now=NOW).problem == ""
        assert judge(security, shown(world.two), now=NOW).problem == "its certificate is revoked"


def test_a_list_that_is_old_is_believed_and_one_of_somebody_else_is_not(world: World) -> None:
    old = world.ca.revoke(world.two, path=world.directory / "old.crl", next_update=NOW - DAY)
    assert judge(pinned(world.two, crl=old), shown(world.two), now=NOW).problem
    # Signed by another key in the name of the CA.
    false = world.other.revoke(world.two, path=world.directory / "false.crl", issuer=world.ca)
    assert judge(pinned(world.two, crl=false, ca=world.ca.certificate), shown(world.two), now=NOW).problem == ""


@pytest.mark.parametrize("kind", ["crl", "ca"])
def test_half_of_a_file_is_none(world: World, tmp_path: Path, kind: str) -> None:
    """Somebody copies a file with two lists or CAs over the one that is there: meanwhile that one counts."""
    path, other = tmp_path / "file", world.other.revoke(path=tmp_path / "other.crl")
    first, second = (
        (other, world.ca.revoke(world.two, path=tmp_path / "own.crl")) if kind == "crl"
        else (world.other.certificate, world.ca.certificate)
    )  # fmt: skip
    whole = first.read_bytes() + second.read_bytes()
    security = pinned(world.two, crl=path) if kind == "crl" else Security(REQUIRED, ca=path, is_own_ca=True)
    expected = kind == "crl"  # revoked, or of the second CA
    for length in (len(whole), len(first.read_bytes()) + 40, len(whole) - 30, len(whole) - 10):
        path.write_bytes(whole[:length])
        assert bool(judge(security, shown(world.two), now=NOW).problem) == expected, length


@pytest.mark.parametrize("content", [b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", b"\x30\x82"])
def test_files_that_cannot_be_read_let_nobody_in(world: World, content: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    for security in (
        pinned(world.one, crl=damaged),
        pinned(world.one, crl=tmp_path / "missing"),
        Security(REQUIRED, ca=damaged, is_own_ca=True),
    ):
        assert str(tmp_path) in judge(security, shown(world.one), now=NOW).problem


def test_a_purpose_that_is_named_is_kept_to(world: World) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = _certificate(key, [x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])])
    assert certificate_of(made).purposes == {SERVER}
    assert certificate_of(_certificate(key, [])).purposes == {SERVER, CLIENT}
    # A pin says more than the CA that has signed it.
    presented = Presented.of([made])
    security = Security(REQUIRED, frozenset({presented.certificate.fingerprint}))
    assert judge(security, presented, purpose=CLIENT, now=NOW).problem == ""


@pytest.mark.parametrize(
    ("bits", "curve", "problem"),
    [
        (512, None, "512 bits, 2048 are needed"), (1024, None, "1024 bits, 2048 are needed"), (2048, None, ""),
        (0, ec.SECP192R1(), "192 bits, 256 are needed"), (0, ec.SECP256R1(), ""), (0, ec.SECP521R1(), ""),
    ],
)  # fmt: skip
def test_a_short_key_is_refused(bits: int, curve: ec.EllipticCurve | None, problem: str) -> None:
    key = ec.generate_private_key(curve) if curve is not None else _rsa_key(bits)
    presented = Presented.of([_certificate(key, [])])
    security = Security(REQUIRED, frozenset({presented.certificate.fingerprint}))
    found = judge(security, presented, now=NOW).problem
    assert problem in found and bool(problem) == bool(found)


def test_what_is_kept_of_a_certificate_is_read_back(world: World) -> None:
    presented = shown(world.one)
    assert Presented.of_pem(presented.pem).certificate == presented.certificate


@pytest.mark.parametrize(
    ("host", "name"), [("A.example", "dns:a.example"), ("10.0.0.1", "ip:10.0.0.1"), ("::1", "ip:::1")]
)
def test_names_of_hosts(host: str, name: str) -> None:
    assert name_of_host(host) == name


def _rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Make a key; cryptography makes none that is shorter than 1024 bits, OpenSSL does."""
    made = PKey()
    made.generate_key(TYPE_RSA, bits)
    key = made.to_cryptography_key()
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, extensions: list[x509.ExtensionType]
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ONE")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())
