"""What balancers and monitoring ask."""

from __future__ import annotations

import httpx

from tests.web.conftest import Web


def ask(web: Web, path: str) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{web.port}{path}")
    return answer.status_code, answer.text


def test_a_node_that_serves(web: Web) -> None:
    assert ask(web, "/health/live") == (200, "live\n")
    assert ask(web, "/health/ready") == (200, "ready\n")


def test_a_primary_volume_that_is_away(web: Web) -> None:
    web.node.watch.look()  # which volume it has to be
    store = web.node.config.current.node.data / "store"
    hidden = store.rename(store.with_name("hidden"))
    try:
        assert ask(web, "/health/ready") == (503, "the primary volume is not there\n")
        assert ask(web, "/health/live") == (200, "live\n")
    finally:
        hidden.rename(store)
    assert ask(web, "/health/ready") == (200, "ready\n")
