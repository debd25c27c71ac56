"""Orthanc over TLS, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.conftest import MakeDirectory
from tests.peers import PeerFailed, requires
from tests.peers.files import make_series
from tests.peers.orthanc import Orthanc
from tests.tls.secure import SecureNode


@pytest.fixture(scope="module")
def secure_orthanc(secure: SecureNode, make_directory: MakeDirectory) -> Iterator[Orthanc]:
    """Give an Orthanc that speaks TLS alone, and that the node knows."""
    requires("orthanc")
    own = secure.ca.issue("ORTHANC")
    modality = {"AET": "MEDSERVER", "Host": "127.0.0.1", "Port": secure.tls.port, "UseDicomTls": True}
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(own.certificate),
        "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(secure.ca.certificate),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"node": modality},
    }
    running = Orthanc(make_directory("orthanc"), options=options)
    try:
        running.wait_until_ready()
        secure.allow(running.address, own)
        yield running
    finally:
        running.server.kill()


def test_orthanc_calls(secure: SecureNode, secure_orthanc: Orthanc, tmp_path: Path) -> None:
    images = make_series(tmp_path, 2, patient_id="FROM ORTHANC")
    secure_orthanc.echo("node")
    stored = secure_orthanc.store("node", secure_orthanc.upload(*(one.path for one in images)))
    assert (stored["InstancesCount"], stored["FailedInstancesCount"]) == (2, 0)
    secure_orthanc.clear()
    query, [study] = secure_orthanc.find("node", "Study", {"PatientID": "FROM ORTHANC"})
    secure_orthanc.retrieve(query)  # the node calls Orthanc for it
    secure_orthanc.wait_for_instances(one.sop_instance_uid for one in images)


def test_orthanc_is_called(secure: SecureNode, secure_orthanc: Orthanc, tmp_path: Path) -> None:
    images = make_series(tmp_path / "images", 2, patient_id="TO ORTHANC")
    assert secure.node.cli("ae", "echo", "ORTHANC").exit_code == 0
    sent = secure.node.cli("send", "ORTHANC", *(one.path for one in images))
    assert sent.exit_code == 0, sent.output
    secure_orthanc.wait_for_instances(one.sop_instance_uid for one in images)
    keys = f"StudyInstanceUID={dcmread(images[0].path).StudyInstanceUID}"
    got = secure.node.cli("get", "ORTHANC", tmp_path / "got", "-k", keys)
    assert got.exit_code == 0, got.output
    assert len(list((tmp_path / "got").iterdir())) == 2


def test_an_orthanc_with_another_certificate(secure: SecureNode, secure_orthanc: Orthanc) -> None:
    secure.allow(secure_orthanc.address, secure.ca.issue("SOMEBODY"))
    with pytest.raises(PeerFailed):
        secure_orthanc.echo("node")
    assert secure.node.cli("ae", "echo", "ORTHANC").exit_code != 0
