"""TLS: storing and retrieving over it, handshakes, and what half handshakes cost others.

All have certificates of one CA with RSA keys of 2048 bits, and demand one of who calls.
"""

from __future__ import annotations

import re
import ssl
import statistics
import time
from contextlib import ExitStack
from dataclasses import replace

from scripts.benchmarks import clients
from scripts.benchmarks.candidates import MEDSERVER, ORTHANC, Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.getting import Getting
from scripts.benchmarks.material import Study
from scripts.benchmarks.stage import Stage
from tests.attacks import raw
from tests.peers import Address, PeerFailed
from tests.peers.ports import free_port
from tests.peers.process import run

IN_THE_CLEAR = "in the clear"
"""The node itself, without TLS."""

CALLERS = ("ECHOSCU", "STORESCU", "GETSCU")

PENDING = 500
"""How many connections say nothing, or begin a handshake and do not end it."""

ECHOES = 20
RETRIEVALS = 4
HANDSHAKES_S = 3


class Secure(Stage):
    """Servers that speak TLS, each with its own certificate."""

    def prepare(self, cells: list[Cell]) -> None:
        """Make the certificates."""
        from tests.certificates import TestCA

        self.folder.mkdir(parents=True, exist_ok=True)
        self._ca = TestCA(self.folder, is_rsa=True)
        self._own, self._client = self._ca.issue("SERVER"), self._ca.issue("CLIENT")

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the value of a cell, of a server that was started for it."""
        with ExitStack() as stack:
            running = self._running(candidate, stack)
            if cell.operation == "handshakes":
                return self._handshakes(running.address)
            if cell.operation in PENDING_KINDS:
                return self._delay_ms(running.address, cell.operation)
            study = self.material.study(cell.subject)
            study.load()
            options = () if candidate == IN_THE_CLEAR else self._options
            seconds = clients.store(running.address, study.parts(cell.associations), options=options)
            if cell.operation == "C-GET":
                seconds = self._get(running.address, study, None if candidate == IN_THE_CLEAR else self._context)
            return len(study.paths) / seconds

    @property
    def _context(self) -> ssl.SSLContext:
        """The context of a client that is no program of DCMTK."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self._ca.certificate)
        context.load_cert_chain(self._client.certificate, self._client.key)
        return context

    def _get(self, address: Address, study: Study, context: ssl.SSLContext | None) -> float:
        """Retrieve a study on one association, until it lies in the page cache and once more; return the seconds."""
        getting = Getting(address, context)
        times = [getting.get(study.study_instance_uid) for _ in range(RETRIEVALS)]
        getting.close()
        if any(count != len(study.paths) for count, _ in times):
            raise PeerFailed(f"{address.ae_title} sent {times}")
        return min(seconds for _, seconds in times[1:])

    @property
    def _options(self) -> tuple[str, ...]:
        """The options of a program of DCMTK."""
        return ("+tls", str(self._client.key), str(self._client.certificate), "+cf", str(self._ca.certificate))

    def _running(self, name: str, stack: ExitStack) -> Candidate:
        """Start a candidate; its address is that of TLS, if it is not measured in the clear."""
        if name == ORTHANC:
            settings: dict[str, object] = {
                "DicomTlsEnabled": True,
                "DicomTlsCertificate": str(self._own.certificate),
                "DicomTlsPrivateKey": str(self._own.key),
                "DicomTlsTrustedCertificates": str(self._ca.certificate),
                "DicomTlsRemoteCertificateRequired": True,
            }
            return self.start(ORTHANC, stack, settings=settings, echo_options=self._options)
        port = free_port()
        settings = {"node.tls_port": port, "tls.certificate": self._own.certificate, "tls.key": self._own.key}
        for title in CALLERS:
            settings[f"ae {title}.tls"] = "accepted"
            settings[f"ae {title}.certificates"] = self._client.fingerprint
        running = self.start(MEDSERVER, stack, settings=settings)
        address = running.address if name == IN_THE_CLEAR else running.address._replace(port=port)
        return replace(running, name=name, address=address)

    def _handshakes(self, address: Address) -> float:
        """Return how many handshakes are made in a second, one after the other."""
        output = run(
            [
                "openssl", "s_time", "-new", "-time", str(HANDSHAKES_S), "-connect", f"{address.host}:{address.port}",
                "-cert", self._client.certificate, "-key", self._client.key, "-CAfile", self._ca.certificate,
            ]
        ).check().output  # fmt: skip
        count, seconds = re.search(r"^(\d+) connections in (\d+) real seconds", output, re.M).groups()
        return int(count) / int(seconds)

    def _delay_ms(self, address: Address, kind: str) -> float:
        """Return the median time of a C-ECHO over TLS, from the connection to the release, while others are pending."""
        with ExitStack() as stack:
            for _ in range(PENDING):
                sock = stack.enter_context(raw.connect(address))
                sock.sendall(PENDING_KINDS[kind])
            return statistics.median(self._echo_ms(address) for _ in range(ECHOES))

    def _echo_ms(self, address: Address) -> float:
        context = self._context
        begin = time.perf_counter()
        with context.wrap_socket(raw.connect(address)) as sock:
            sock.sendall(raw.associate_request(address, "ECHOSCU"))
            assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
            sock.sendall(raw.echo_request())
            assert raw.receive_status(sock) == 0
            raw.release(sock)
        return (time.perf_counter() - begin) * 1000


def _client_hello() -> bytes:
    """Return the first bytes of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without a peer")


PENDING_KINDS = {"silent": b"", "half": _client_hello()}
"""What those have sent that are pending."""
