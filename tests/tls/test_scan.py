"""What scanners see: TLS 1.2 and 1.3 with authenticated encryption, and nothing else (PS3.15 B.12, B.13)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from medserver.tls.contexts import SUITES_1_2, SUITES_1_3
from tests.peers import requires, starts_programs
from tests.peers.process import run
from tests.tls.secure import SecureNode


def test_sslscan(secure: SecureNode) -> None:
    requires("sslscan")
    certificate, key = secure.client.certificate, secure.client.key
    output = run(
        ["sslscan", "--no-colour", f"--certs={certificate}", f"--pk={key}", f"127.0.0.1:{secure.tls.port}"]
    ).check().output
    enabled = {name: state for name, state in re.findall(r"^(SSLv\d|TLSv1\.\d)\s+(enabled|disabled)$", output, re.M)}
    assert {name for name, state in enabled.items() if state == "enabled"} == {"TLSv1.2", "TLSv1.3"}
    suites = re.findall(r"^(?:Preferred|Accepted)\s+(TLSv1\.\d)\s+\d+ bits\s+(\S+)", output, re.M)
    assert {version for version, _ in suites} == {"TLSv1.2", "TLSv1.3"}
    assert {suite for _, suite in suites} <= {*SUITES_1_2, *SUITES_1_3}
    assert "Session renegotiation not supported" in output
    assert "vulnerable to heartbleed" not in re.sub(r"not vulnerable to heartbleed", "", output)


def test_no_session_is_resumed(secure: SecureNode, tmp_path: Path) -> None:
    """Whoever comes again proves again who he is, also with what TLS 1.3 calls a ticket."""
    requires("openssl")
    starts_programs()
    for version in ("-tls1_2", "-tls1_3"):
        session = tmp_path / version
        command = ["openssl", "s_client", version, "-connect", f"127.0.0.1:{secure.tls.port}", "-cert",
                   str(secure.client.certificate), "-key", str(secure.client.key)]  # fmt: skip
        for option in ("-sess_out", "-sess_in"):
            if option == "-sess_in" and not session.exists():
                continue  # there was none
            shown = subprocess.run(
                [*command, option, str(session)], input=b"", capture_output=True, timeout=30, check=False
            )
            assert b"New, TLS" in shown.stdout and b"Reused, TLS" not in shown.stdout


def test_openssl_s_client(secure: SecureNode) -> None:
    """Each version, and no ticket by which a session of TLS 1.2 could be resumed."""
    requires("openssl")
    starts_programs()
    for version in ("-tls1_2", "-tls1_3"):
        command = ["openssl", "s_client", version, "-connect", f"127.0.0.1:{secure.tls.port}", "-CAfile",
                   str(secure.ca.certificate), "-cert", str(secure.client.certificate), "-key",
                   str(secure.client.key)]  # fmt: skip
        shown = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
        output = shown.stdout.decode() + shown.stderr.decode()
        assert "Verify return code: 0 (ok)" in output
        assert "Acceptable client certificate CA names" not in output, "a client would not show one of another CA"
        if version == "-tls1_2":
            assert "Secure Renegotiation IS supported" in output  # as RFC 5746 wants; and is refused
            assert "TLS session ticket" not in output
