"""Who is let in by HTTP, and for what."""

from __future__ import annotations

import base64
import re

import httpx
import pytest

from medserver.accounts import managing
from medserver.web.routes import ROUTES
from tests.web.conftest import Web

JSON = {"Accept": "application/dicom+json"}


def basic(name: str, passcode: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{passcode}".encode()).decode()}


@pytest.fixture(scope="module")
def users(web: Web) -> Web:
    managing.add_user(web.node.index, "anna", ["reader"], b"correct horse")
    managing.add_user(web.node.index, "bare", ["reader"], b"")
    return web


def status(web: Web, headers: dict[str, str]) -> int:
    return httpx.get(f"{web.url}/studies", headers={**JSON, **headers}).status_code


def test_tokens_and_passcodes(users: Web) -> None:
    token = users.tokens["reader"]
    assert status(users, {"Authorization": f"Bearer {token}"}) == 204
    assert status(users, {"Authorization": f"bearer  {token}"}) == 204
    assert status(users, basic("whoever", token)) == 204
    assert status(users, basic("anna", "correct horse")) == 204


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer mst_wrong"},
        {"Authorization": "Bearer a.b.c"}, {"Authorization": "Digest x"}, {"Authorization": "Basic !"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()}, basic("anna", "wrong horse"),
        basic("an\0na", "correct horse"), basic("anna\n", "correct horse"), basic("x" * 5000, "correct horse"),
        basic("bare", ""), basic("nobody", "correct horse"), basic("anna", "mst_wrong"),
        {"Authorization": "x" * 30_000},
    ],
    ids=range(16),
)  # fmt: skip
def test_all_others_get_the_same_answer(users: Web, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{users.url}/studies", headers={**JSON, **headers})
    assert answer.status_code == 401 and answer.text == "a token or a user with a passcode is needed\n"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="medserver"')


def test_a_token_in_the_place_of_the_name_is_not_repeated(users: Web, caplog: pytest.LogCaptureFixture) -> None:
    """As some services have it: curl -u TOKEN:"""
    token = users.tokens["reader"]
    assert status(users, basic(token, "")) == 401
    assert "not known here" in caplog.text and token[5:20] not in caplog.text


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer mst_wrong"}, basic("anna", "correct horse")], ids=str)
def test_nobody_learns_why_nobody_can_be_verified(users: Web, headers: dict[str, str]) -> None:
    """What a database says when it fails names machines, tables and accounts."""
    def rename(old: str, new: str) -> None:
        users.node.index._access.writer.run(lambda connection: connection.execute(f"ALTER TABLE {old} RENAME TO {new}"))

    rename("accounts", "away")
    try:
        answer = httpx.get(f"{users.url}/studies", headers={**JSON, **headers})
    finally:
        rename("away", "accounts")
    assert (answer.status_code, answer.text) == (503, "the node cannot do this at the moment\n")


def test_refusals_do_not_fill_the_log(users: Web, caplog: pytest.LogCaptureFixture) -> None:
    with httpx.Client() as client:
        for _ in range(20):
            answer = client.get(f"{users.url}/studies", headers={**JSON, "Authorization": "Unheard of"})
            assert answer.status_code == 401
    logged = [each for each in caplog.records if "refused" in each.getMessage()]
    assert 1 <= len(logged) <= 5


def test_two_header_fields_are_none(users: Web) -> None:
    good, bad = ("Authorization", f"Bearer {users.tokens['reader']}"), ("Authorization", "Bearer mst_wrong")
    for both in ([good, bad], [bad, good], [good, good]):
        assert httpx.get(f"{users.url}/studies", headers=[*JSON.items(), *both]).status_code == 401


HELD = {
    "admin": {"find", "get", "store", "process"}, "operator": {"find", "get", "store", "process"},
    "reader": {"find", "get"}, "auditor": set(),
}  # fmt: skip


@pytest.mark.parametrize("role", HELD)
def test_every_route_asks_for_its_right(web: Web, role: str) -> None:
    for route in ROUTES:
        names = set(re.findall(r"{(\w+)}", route.template))
        path = route.template.format(**dict.fromkeys(names, "1.2.3") | {"frames": "1", "tag": "7FE00010"})
        answer = httpx.request(route.method, web.url + path, headers=web.headers(role, Accept="*/*"))
        assert (answer.status_code == 403) == (route.right not in HELD[role]), (route, answer.text)


def test_a_token_that_is_removed_or_expired_is_of_no_use_at_once(web: Web) -> None:
    token = managing.add_token(web.node.index, "short", ["reader"])
    assert status(web, {"Authorization": f"Bearer {token}"}) == 204
    managing.remove(web.node.index, "token", "short")
    assert status(web, {"Authorization": f"Bearer {token}"}) == 401
    expired = managing.add_token(web.node.index, "old", ["reader"], web.node.clock())
    assert status(web, {"Authorization": f"Bearer {expired}"}) == 401


def test_there_is_nothing_else(web: Web) -> None:
    for path in ("/", "/studies/", "/nothing", "/studies/1.2.3/nothing"):
        assert httpx.get(web.url + path, headers=web.headers()).status_code == 404
    assert httpx.delete(f"{web.url}/studies", headers=web.headers()).status_code == 405
