"""``medserver user``, ``token`` and ``access``: what administrators see and say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medserver.config import SERVICES
from tests.cli.conftest import Invoke
from tests.peers.command_line import invoke as run


def test_users_from_beginning_to_end(invoke: Invoke) -> None:
    assert "no users" in invoke("user", "list").check().output
    made = invoke("user", "add", "anna", "--role", "reader", "--generate", "--expires", "90d").check().output
    passcode = made.rsplit(" ", 1)[1].strip()
    assert made.startswith("passcode of anna, which is not shown again: ") and len(passcode) >= 16
    invoke("user", "add", "berta", "--role", "operator", "--role", "auditor", "--no-passcode").check()
    listed = invoke("user", "list").check().output
    assert passcode not in listed and "argon2" not in listed
    assert "operator, auditor" in listed and "active, without a passcode" in listed
    invoke("user", "edit", "berta", "--disable").check()
    told = {each["name"]: each for each in json.loads(invoke("user", "list", "--json").check().output)}
    assert told["berta"]["state"] == "disabled" and told["anna"]["roles"] == ["reader"]
    assert told["anna"]["expires"] is not None and "secret" not in told["anna"]
    invoke("user", "remove", "berta").check()
    assert "berta" not in invoke("user", "list").check().output


def test_a_passcode_from_a_file_and_by_asking(invoke: Invoke, config_path: Path) -> None:
    file = config_path.parent / "passcode"
    file.write_text("correct horse\nbehind the first line\n")
    invoke("user", "add", "anna", "--role", "reader", "--passcode-file", str(file)).check()
    asked = run("--config", config_path, "user", "add", "berta", "--role", "reader", typed="battery staple\n" * 2)
    assert asked.exit_code == 0 and "battery" not in asked.output
    piped = run("--config", config_path, "user", "edit", "berta", "--passcode-file", "-", typed="another one\n")
    assert piped.exit_code == 0, piped.output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("user add anna --no-passcode", "a role is needed: admin, operator, reader, auditor"),
        ("user add a/b --role reader --no-passcode", "is not a name"),
        ("user add anna --role reader --no-passcode --generate", "one of --passcode-file, --generate"),
        ("user add anna --role reader --no-passcode --expires soon", "--expires:"),
        ("user edit anna", "nothing is to be changed"),
        ("user edit anna --disable", "there is no user anna"),
        ("user remove anna", "there is no user anna"),
        ("token remove dashboard", "there is no token dashboard"),
        ("token add dashboard", "a role is needed"),
        ("access explain NOBODY", "no [ae NAME] has the AE title NOBODY"),
        ("access explain CT1 --address 10.9.9.9", "calls from 10.9.9.9"),
        ("access explain CT1 --user anna", "there is no user anna"),
    ],
)
def test_what_is_refused(invoke: Invoke, line: str, message: str) -> None:
    refused = invoke(*line.split())
    assert refused.exit_code == 2 and message in refused.output


def test_a_token_is_shown_once(invoke: Invoke) -> None:
    token = invoke("token", "add", "dashboard", "--role", "auditor", "--expires", "90d").check().output.strip()
    assert token.startswith("mst_")
    listed = invoke("token", "list").check().output
    assert "dashboard" in listed and token not in listed
    assert invoke("token", "add", "dashboard", "--role", "admin").exit_code == 2
    invoke("token", "remove", "dashboard").check()
    assert "no tokens" in invoke("token", "list").check().output


def test_the_table_of_rights(invoke: Invoke) -> None:
    rows = json.loads(invoke("access", "list", "--json").check().output)
    assert [row["right"] for row in rows] == list(SERVICES)
    assert all(row["services"] and "admin" in row["roles"] for row in rows)
    table = invoke("access", "list").check().output.splitlines()
    assert table[0].split()[:5] == ["RIGHT", "ADMIN", "OPERATOR", "READER", "AUDITOR"]
    assert table[2].split()[:5] == ["store", "yes", "yes", "-", "-"]


def test_why_somebody_may_do_something(invoke: Invoke, config_path: Path) -> None:
    text = config_path.read_text()
    config_path.write_text(text.replace("allow = find, move", "allow = store, find\nidentity = required"))
    invoke("user", "add", "anna", "--role", "reader", "--no-passcode").check()
    alone = invoke("access", "explain", "CT1").check().output
    assert "CT1 is [ae CT1]; users that it names are not looked at" in alone
    output = invoke("access", "explain", "VIEWER", "--user", "anna").check().output
    assert "VIEWER is [ae WS], as user anna (reader); it must name a user" in output
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in output.splitlines()[2:]}
    assert rows["store"] == "no no role of the user includes it"
    assert rows["find"] == "yes allow lists it, reader includes it"
    assert rows["move"] == "no [ae WS] allow does not list it"
    refused = invoke("access", "explain", "CT1", "--user", "anna")
    assert refused.exit_code == 2 and "identity = none" in refused.output
