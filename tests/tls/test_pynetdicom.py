"""pynetdicom over TLS: retrieval of both kinds, and what the programs of DCMTK cannot do over TLS."""

from __future__ import annotations

import ssl

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.certificates import Identity
from tests.conftest import MakeDirectory
from tests.peers import Address, requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.ports import free_port
from tests.tls.secure import SecureNode


def context_of(secure: SecureNode, identity: Identity, purpose: int = ssl.PROTOCOL_TLS_CLIENT) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.load_verify_locations(secure.ca.certificate)
    context.load_cert_chain(identity.certificate, identity.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def identifier(study_instance_uid: str) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", study_instance_uid
    return asked


@pytest.fixture(scope="module")
def study(secure: SecureNode, make_directory: MakeDirectory) -> str:
    """Give a study of three images in the node."""
    requires("dcmtk")
    uid = generate_uid()
    images = make_series(make_directory("images"), 3, study_instance_uid=uid)
    dcmtk = Dcmtk(make_directory("dcmtk"))
    dcmtk.store(secure.tls, *(one.path for one in images), options=secure.options()).check()
    return uid


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_get(secure: SecureNode, study: str, version: ssl.TLSVersion) -> None:
    received = []
    ae = AE("GETSCU")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    context = context_of(secure, secure.client)
    context.maximum_version = context.minimum_version = version

    def store(event) -> int:
        received.append(event.dataset.SOPInstanceUID)
        return 0x0000

    association = ae.associate(
        secure.tls.host, secure.tls.port, ae_title="MEDSERVER", tls_args=(context, "localhost"),
        ext_neg=[build_role(CTImageStorage, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, store)],
    )  # fmt: skip
    assert association.is_established
    answers = association.send_c_get(identifier(study), StudyRootQueryRetrieveInformationModelGet)
    assert [status.Status for status, _ in answers][-1] == 0x0000
    association.release()
    assert len(set(received)) == 3


def test_move_to_a_server_over_tls(secure: SecureNode, study: str) -> None:
    received = []
    own = secure.ca.issue("PYNETDICOM")
    destination = Address("PYNETDICOM", free_port())
    secure.allow(destination, own)
    scp = AE(destination.ae_title)
    scp.add_supported_context(CTImageStorage)

    def store(event) -> int:
        received.append(event.dataset.SOPInstanceUID)
        return 0x0000

    server = scp.start_server(
        (destination.host, destination.port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)],
        ssl_context=context_of(secure, own, ssl.PROTOCOL_TLS_SERVER),
    )  # fmt: skip
    try:
        ae = AE("MOVESCU")
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        tls_args = (context_of(secure, secure.client), "localhost")
        association = ae.associate(secure.tls.host, secure.tls.port, ae_title="MEDSERVER", tls_args=tls_args)
        assert association.is_established
        asked = identifier(study), destination.ae_title, StudyRootQueryRetrieveInformationModelMove
        assert [status.Status for status, _ in association.send_c_move(*asked)][-1] == 0x0000
        association.release()
    finally:
        server.shutdown()
    assert len(set(received)) == 3
