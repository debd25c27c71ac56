"""Orthanc: a server with an index of its own, driven through its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from tests.peers import Address, PeerFailed
from tests.peers.ports import free_port
from tests.peers.process import Server, wait_until


class Orthanc:
    """A running Orthanc.

    Its HTTP server listens on the loopback address only. The DICOM server of Orthanc cannot be bound to an
    address: it checks the called AE title, and knows nobody but the remotes that are added.

    Parameters
    ----------
    directory : Path
        Where it keeps its configuration and images.
    ae_title : str
        Its AE title.
    remotes : mapping of str to Address
        The remote AEs it knows from the start, by the name they have in its REST API.
    options : mapping of str to object
        More options of its configuration file, they win.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ae_title: str = "ORTHANC",
        remotes: Mapping[str, Address] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.address = Address(ae_title, free_port())
        self.directory = directory
        http_port = free_port()
        self._url = f"http://127.0.0.1:{http_port}"
        self._opener = build_opener(ProxyHandler({}))  # never through a proxy of the environment
        configuration = self._configuration(http_port, remotes or {}) | dict(options or {})
        path = directory / "orthanc.json"
        path.write_text(json.dumps(configuration, indent=2))
        self._configuration_path = path
        self.server = self._started()

    def _started(self) -> Server:
        log = self.directory / "orthanc.log"
        return Server(["Orthanc", self._configuration_path], log=log, directory=self.directory)

    def restart(self) -> None:
        """Kill it, with the associations that it has, and start it again on the same ports and images."""
        self.server.kill()
        self.server = self._started()
        self.wait_until_ready()

    def _configuration(self, http_port: int, remotes: Mapping[str, Address]) -> dict[str, object]:
        return {
            "Name": "tests",
            "StorageDirectory": str(self.directory / "storage"),
            "IndexDirectory": str(self.directory / "storage"),
            "Plugins": [],
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "HttpPort": http_port,
            "WebDavEnabled": False,
            "DicomAet": self.address.ae_title,
            "DicomPort": self.address.port,
            "DicomCheckCalledAet": True,
            "UnknownSopClassAccepted": True,
            "DicomAlwaysAllowGet": True,
            "DicomModalities": {name: list(_modality(remote)) for name, remote in remotes.items()},
            "DicomScuTimeout": 30,
            "DicomAssociationCloseDelay": 0,
            "MaximumPduLength": 131072,
            "SaveJobs": False,
            "StableAge": 1,
            "SyncStorageArea": False,
        }

    def wait_until_ready(self) -> None:
        """Wait until both its servers answer."""

        def answers() -> bool:
            with suppress(URLError, ConnectionError):
                return bool(self.request("GET", "/system"))
            return False

        self.server.wait_for(answers, deadline_s=60, what="an answer of its REST API")
        self.server.wait_for_port(self.address, deadline_s=60)

    def request_bytes(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request to its REST API, and return the body of the answer.

        Raises
        ------
        PeerFailed
            The answer is an error.
        """
        request = Request(self._url + path, data=body, method=method)
        try:
            with self._opener.open(request, timeout=120) as response:
                return response.read()
        except HTTPError as error:
            text = error.read().decode(errors="replace")
            raise PeerFailed(
                f"Orthanc: {method} {path}: {error.code}\n{text}\n{self.server.output[-2000:]}"
            ) from None

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request with a JSON body, and return the JSON of the answer, None for an empty one."""
        encoded = (
            json.dumps(body).encode() if body is not None else b"" if method in ("POST", "PUT") else None
        )
        answer = self.request_bytes(method, path, encoded)
        return json.loads(answer) if answer else None

    def add_remote(self, name: str, remote: Address) -> None:
        """Make a remote AE known, under a name for the REST API; replace the one of this name."""
        self.request("PUT", f"/modalities/{name}", list(_modality(remote)))

    def echo(self, name: str) -> None:
        """Send a C-ECHO to a remote AE; `PeerFailed` when it fails."""
        self.request("POST", f"/modalities/{name}/echo", {})

    def upload(self, *paths: Path) -> list[str]:
        """Put files into its storage over HTTP, and return Orthanc's identifiers of the instances."""
        return [
            json.loads(self.request_bytes("POST", "/instances", path.read_bytes()))["ID"] for path in paths
        ]

    def store(self, name: str, resources: Iterable[str]) -> dict[str, Any]:
        """Send instances, series, studies or patients (Orthanc's identifiers) with C-STORE to a remote AE.

        Returns
        -------
        dict
            Among others 'InstancesCount' and 'FailedInstancesCount'.
        """
        return self.request(
            "POST", f"/modalities/{name}/store", {"Resources": list(resources), "Synchronous": True}
        )

    def find(self, name: str, level: str, keys: Mapping[str, str]) -> tuple[str, list[dict[str, str]]]:
        """Query a remote AE with C-FIND.

        Parameters
        ----------
        name : str
            The remote AE.
        level : str
            'Patient', 'Study', 'Series' or 'Instance'.
        keys : mapping of str to str
            Keyword to value, '' for a return key.

        Returns
        -------
        tuple
            Orthanc's identifier of the query, for `retrieve`; the answers as dicts by keyword.
        """
        query = self.request("POST", f"/modalities/{name}/query", {"Level": level, "Query": dict(keys)})["ID"]
        return query, self.request("GET", f"/queries/{query}/answers?expand&simplify")

    def retrieve(self, query: str, destination: str | None = None) -> dict[str, Any]:
        """Retrieve all answers of a query with C-MOVE, to itself or to the AE titled `destination`."""
        body = {"TargetAet": destination or self.address.ae_title, "Synchronous": True}
        return self.request("POST", f"/queries/{query}/retrieve", body)

    def move(self, name: str, level: str, resources: Iterable[Mapping[str, str]]) -> dict[str, Any]:
        """Retrieve with C-MOVE from a remote AE to itself.

        Parameters
        ----------
        name : str
            The remote AE.
        level : str
            'Patient', 'Study', 'Series' or 'Instance'.
        resources : iterable of mapping of str to str
            The unique keys of each resource, by keyword.
        """
        body = {
            "Level": level,
            "Resources": [dict(keys) for keys in resources],
            "TargetAet": self.address.ae_title,
            "Synchronous": True,
        }
        return self.request("POST", f"/modalities/{name}/move", body)

    def instances(self) -> dict[str, str]:
        """Return what it holds: SOP Instance UID to Orthanc's identifier."""
        found = self.request("GET", "/instances?expand")
        return {instance["MainDicomTags"]["SOPInstanceUID"]: instance["ID"] for instance in found}

    def wait_for_instances(self, sop_instance_uids: Iterable[str], *, deadline_s: float = 30) -> None:
        """Wait until it holds all these instances."""
        wanted = set(sop_instance_uids)
        wait_until(
            lambda: wanted <= self.instances().keys(), deadline_s=deadline_s, what="instances in Orthanc"
        )

    def file(self, identifier: str) -> bytes:
        """Return the file of an instance, as it received it."""
        return self.request_bytes("GET", f"/instances/{identifier}/file")

    def clear(self) -> None:
        """Delete everything it holds."""
        for patient in self.request("GET", "/patients"):
            self.request("DELETE", f"/patients/{patient}")


def _modality(remote: Address) -> tuple[str, str, int]:
    return remote.ae_title, remote.host, remote.port
