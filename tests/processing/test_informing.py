"""Sender and receivers are told the type of processing before anything is done."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepEvent, UnifiedProcedureStepPush

from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.processing import phantoms

PATIENCE_S = 60.0

MakeNode = Callable[..., Node]


class Webhook:
    """An HTTP server that notes what is posted, and answers as it is told.

    Parameters
    ----------
    status : int
        The status of its answers.
    """

    def __init__(self, status: int = 204) -> None:
        self.posted: list[dict] = []
        self.gate = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                hook.gate.wait(PATIENCE_S)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    one = Webhook()
    yield one
    one.close()


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Give the folder of a small series of a phantom."""
    volume = np.random.default_rng(7).integers(0, 2000, (2, 32, 32)).astype(np.uint16)
    return phantoms.write(tmp_path / "made", phantoms.ct_series(volume))


@pytest.fixture
def modality(dcmtk: Dcmtk) -> StoreSCP:
    return dcmtk.start_storescp("CT1")


def started(make_node: MakeNode, modality: StoreSCP, told_by: str, **rule: object) -> Node:
    node = make_node(options={})
    node.add_remote(modality.address, options={"inform": told_by})
    section = {"type": "copy", "quiet": "0.2 s", "calling_ae_title": "CT1", "to": "sender"} | rule
    node.set_section("processing all", section)
    node.start()
    return node


def store(dcmtk: Dcmtk, node: Node, series: Path) -> None:
    assert dcmtk.store(node.address, *sorted(series.iterdir()), calling_ae_title="CT1").exit_code == 0


def states(node: Node) -> list[str]:
    found = json.loads(node.cli("workitem", "list", "--json").output)
    return [one["00741000"]["Value"][0] for one in found]


def test_nothing_is_done_before_a_webhook_has_answered(
    make_node: MakeNode, dcmtk: Dcmtk, modality: StoreSCP, series: Path, webhook: Webhook
) -> None:
    node = started(make_node, modality, webhook.url)
    store(dcmtk, node, series)
    wait_until(lambda: webhook.posted, deadline_s=PATIENCE_S, what="the message")
    [told] = webhook.posted
    assert (told["type"], told["to"], told["as"]) == ("copy", "CT1", ["sender", "receiver"])
    assert states(node) == ["SCHEDULED"]
    webhook.gate.set()
    wait_until(lambda: len(modality.files()) == 2, deadline_s=PATIENCE_S, what="the results")
    assert states(node) == ["COMPLETED"]


def test_a_rule_may_keep_quiet(
    make_node: MakeNode, dcmtk: Dcmtk, modality: StoreSCP, series: Path, webhook: Webhook
) -> None:
    node = started(make_node, modality, webhook.url, inform="no")
    store(dcmtk, node, series)
    wait_until(lambda: len(modality.files()) == 2, deadline_s=PATIENCE_S, what="the results")
    assert webhook.posted == []


@pytest.mark.parametrize("where", ["http://127.0.0.1:1/", "doctor@example.org"])
def test_what_cannot_be_told_is_shown_and_holds_up_nothing(
    make_node: MakeNode, dcmtk: Dcmtk, modality: StoreSCP, series: Path, where: str
) -> None:
    node = started(make_node, modality, where)
    store(dcmtk, node, series)
    wait_until(lambda: len(modality.files()) == 2, deadline_s=PATIENCE_S, what="the results")
    assert states(node) == ["COMPLETED"]
    [job] = [one for one in json.loads(node.cli("jobs", "list", "--json").output) if one["kind"] == "inform"]
    assert where in job["last_error"]


@contextmanager
def listening(ae_title: str, events: list[tuple[int, str]]) -> Iterator[Address]:
    """Listen for events of work items."""

    def note(event: evt.Event) -> tuple[int, None]:
        events.append((event.event_type, str(event.event_information.get("ProcedureStepState", ""))))
        return 0x0000, None

    address = Address(ae_title, free_port())
    ae = AE(ae_title)
    ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
    ae.add_supported_context(UnifiedProcedureStepPush, scu_role=True, scp_role=True)
    server = ae.start_server((address.host, address.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, note)])
    yield address
    server.shutdown()


def test_who_takes_events_is_subscribed(
    make_node: MakeNode, dcmtk: Dcmtk, modality: StoreSCP, series: Path
) -> None:
    events: list[tuple[int, str]] = []
    with listening("WS1", events) as workstation:
        node = started(make_node, modality, "none")
        node.add_remote(workstation, options={"inform": "ups-event"})
        rule = {"type": "copy", "quiet": "0.2 s", "calling_ae_title": "CT1", "to": "sender, WS1"}
        node.set_section("processing all", rule)
        store(dcmtk, node, series)
        wait_until(lambda: (1, "COMPLETED") in events, deadline_s=PATIENCE_S, what="the events")
    assert [state for number, state in events if number == 1] == ["SCHEDULED", "IN PROGRESS", "COMPLETED"]
