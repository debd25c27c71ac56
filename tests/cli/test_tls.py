"""``medserver tls``: keys and certificates of the node, and those of others."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.tls.contexts import server_context
from tests.certificates import TestCA


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write_tls(config_path: Path, **options: object) -> None:
    lines = [f"{name} = {value}\n" for name, value in options.items()]
    config_path.write_text(config_path.read_text() + "\n[tls]\n" + "".join(lines))


@pytest.fixture
def data(config_path: Path) -> Path:
    return ConfigFile(config_path).current.node.data


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_what_new_makes_can_be_used(invoke, config_path, data, kind):
    output = invoke("tls", "new", "--host", "pacs.example", "--host", "10.0.0.1", "--key", kind).check().output
    key, certificate = data / "tls" / "medserver.key", data / "tls" / "medserver.pem"
    assert (mode(key), mode(certificate), mode(key.parent)) == (0o600, 0o644, 0o700)
    assert "certificate = tls/medserver.pem" in output
    write_tls(config_path, certificate="tls/medserver.pem", key="tls/medserver.key")
    assert server_context(ConfigFile(config_path).current.tls)
    shown = json.loads(invoke("tls", "show", "--json").check().output)
    assert shown["fingerprint"] in output
    assert {"dns:pacs.example", "ip:10.0.0.1", "cn:MEDSERVER"} == set(shown["names"])


def test_another_certificate_keeps_the_key_and_the_fingerprint(invoke, config_path, data):
    first = invoke("tls", "new", "--key", "p256").check().output
    key = (data / "tls" / "medserver.key").read_bytes()
    refused = invoke("tls", "new")
    assert (refused.exit_code, "--replace" in refused.stderr) == (2, True)
    second = invoke("tls", "new", "--replace", "--days", "10").check().output
    assert (data / "tls" / "medserver.key").read_bytes() == key

    def fingerprint(output: str) -> str:
        return next(line for line in output.splitlines() if line.startswith("fingerprint"))

    assert fingerprint(first) == fingerprint(second)


def test_a_request_to_a_ca(invoke, data):
    from cryptography import x509

    pem = invoke("tls", "csr", "--key", "p256", "--host", "pacs.example").check().output
    request = x509.load_pem_x509_csr(pem.encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=MEDSERVER"
    assert mode(data / "tls" / "medserver.key") == 0o600


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(invoke, config_path, data, bits):
    invoke("tls", "new", "--key", "p256").check()
    (data / "tls" / "medserver.key").chmod(bits)
    refused = invoke("tls", "csr")
    assert (refused.exit_code, "chmod 600" in refused.stderr) == (78, True)


def test_expiry(invoke, config_path, tmp_path):
    assert invoke("tls", "expiry").check().output == "no certificates\n"
    ca = TestCA(tmp_path)
    soon = ca.issue("SOON", ends=datetime.now(UTC) + timedelta(days=20))
    crl = ca.revoke(next_update=datetime.now(UTC) + timedelta(days=60))
    write_tls(config_path, certificate=soon.certificate, key=soon.key, crl=crl)
    rows = json.loads(invoke("tls", "expiry", "--json").stdout)
    assert [(row["what"].split(",")[0], row["is_due"]) for row in rows] == [
        ("certificate of [tls]", True), ("CRL of [tls]", False)
    ]  # fmt: skip
    assert invoke("tls", "expiry").exit_code == 1
    assert invoke("tls", "expiry", "--within", "10 d").exit_code == 0
    assert invoke("tls", "expiry", "--within", "90 d").exit_code == 1
    assert "is not a duration" in invoke("tls", "expiry", "--within", "soon").stderr


def test_expiry_of_what_is_not_dicom(invoke, config_path, tmp_path):
    """HTTPS and audit repositories have certificates too."""
    ca = TestCA(tmp_path)
    web, audit = ca.issue("WEB", ends=datetime.now(UTC) + timedelta(days=20)), ca.issue("AUDIT")
    with open(config_path, "a") as file:
        file.write(f"\n[web]\ncertificate = {web.certificate}\nkey = {web.key}\n[audit]\nca = {ca.certificate}\n")
        file.write(f"certificate = {audit.certificate}\nkey = {audit.key}\n")
    rows = {row["what"].split(",")[0]: row["is_due"] for row in json.loads(invoke("tls", "expiry", "--json").stdout)}
    assert rows == {"certificate of [web]": True, "certificate of [audit]": False, "CA of [audit]": False}


def test_no_secret_is_shown(invoke, config_path, data):
    """Neither the key nor what is in its file; only where it is."""
    invoke("tls", "new", "--key", "p256").check()
    write_tls(config_path, certificate="tls/medserver.pem", key="tls/medserver.key")
    secret = (data / "tls" / "medserver.key").read_text().splitlines()[1]
    for arguments in (["config", "show"], ["tls", "show"], ["tls", "expiry"]):
        assert secret not in invoke(*arguments).output


def test_doctor_tells_of_certificates(invoke, config_path, tmp_path):
    def steps() -> list[tuple[str, str]]:
        found = json.loads(invoke("doctor", "--json").stdout)["steps"]
        return [(step["state"], step["text"]) for step in found if step["name"] == "tls"]

    assert steps() == []
    ca = TestCA(tmp_path)
    good, expired = ca.issue("GOOD"), ca.expired("EXPIRED")
    write_tls(config_path, certificate=good.certificate, key=good.key)
    assert [state for state, _ in steps()] == ["ok"]
    good.certificate.write_bytes(expired.certificate.read_bytes())
    [(state, text)] = steps()
    assert (state, "expired on" in text) == ("problem", True)


def test_a_node_without_a_good_key_does_not_start(make_node, tmp_path):
    own = TestCA(tmp_path).issue("OWN")
    own.key.chmod(0o644)
    options = {"node.tls_port": 0, "tls.certificate": own.certificate, "tls.key": own.key}
    ended = make_node(options=options).program("serve")
    assert (ended.exit_code, "chmod 600" in ended.output) == (78, True)
