"""DCMTK over TLS, as an SCU and as an SCP, with each of its three profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import make_series
from tests.tls.secure import SecureNode

PROFILES = ("+py", "+px", "+pz")
"""BCP 195 without downgrading, BCP 195, and extended BCP 195."""


@pytest.mark.parametrize("profile", PROFILES)
def test_every_scu(secure: SecureNode, dcmtk: Dcmtk, tmp_path: Path, profile: str) -> None:
    options = secure.options(profile=profile)
    images = make_series(tmp_path / "images", 2, patient_id=profile)
    dcmtk.echo(secure.tls, options=options).check()
    stored = dcmtk.store(secure.tls, *(one.path for one in images), options=options).check()
    assert stored.statuses == (0, 0)
    keys = {"PatientID": profile, "StudyInstanceUID": ""}
    [study] = dcmtk.find(secure.tls, "STUDY", keys, options=options).identifiers
    assert study.PatientID == profile


@pytest.mark.parametrize("profile", PROFILES)
def test_as_an_scu(secure: SecureNode, dcmtk: Dcmtk, tmp_path: Path, profile: str) -> None:
    identity = secure.ca.issue("STORESCP")
    options = (*StoreSCP.DEFAULT_OPTIONS, *secure.options(identity, profile))
    storescp = dcmtk.start_storescp(options=options)
    secure.allow(storescp.address, identity)
    sent = secure.node.cli("send", "STORESCP", *(one.path for one in make_series(tmp_path / "images", 2)))
    assert sent.exit_code == 0, sent.output
    assert len(storescp.files()) == 2
    assert secure.node.cli("ae", "echo", "STORESCP").exit_code == 0
