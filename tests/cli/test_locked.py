"""While the index is rebuilt, restored or migrated no command works with it, on this host or another one."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from medserver import lock
from medserver.config import ConfigFile
from medserver.index.nodes.exclusive import exclusively
from medserver.node import open_node
from tests.archive.conftest import receive
from tests.peers import command_line
from tests.peers.command_line import Invoked
from tests.peers.files import make_small

COMMANDS = [
    "store status",
    "store replicate",
    "store verify",
    "store repair",
    "store compress",
    "store delete 1.2 --force --reason x",
    "store drain near",
    "jobs list",
    "jobs show 1",
    "jobs retry 1",
    "jobs drop 1",
    "jobs pause copy",
    "jobs resume copy",
    "outbox",
    "outbox send r --unchanged",
    "outbox drop --rule r",
    "outbox list",
    "outbox pause r",
    "outbox resume r",
    "outbox retry --rule r",
    "outbox show 1",
    "poll run p",
    "poll status",
    "commit --list",
    "commit A 1.2",
    "procedures list",
    "conditions show 1.2",
    "index counts",
    "index conflicts list",
    "index check",
    "backup create",
    "nodes forget 1",
    "ae pending",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.db'}"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def config(url: str, tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text(
        f"[node]\ndata = {tmp_path / 'data'}\n[index]\nurl = {url}\n[volume main]\npath = {tmp_path / 'store'}\n"
        f"role = primary\n[volume near]\npath = {tmp_path / 'near'}\nrole = replica\n"
        "[ae A]\nae_title = A\naddress = 127.0.0.1:104\n[poll p]\nsource = A\n"
    )
    with closing(open_node(ConfigFile(path))) as node:
        [sample] = make_small(tmp_path / "made", 1)
        receive(node, sample)
    return path


def run(config: Path, command: str) -> Invoked:
    return command_line.invoke("--config", config, *command.split())


def test_every_command_says_who_has_it(config: Path, url: str, tmp_path: Path) -> None:
    """One line, and exit code 75: the same may work later."""
    with exclusively(url, tmp_path / "elsewhere", "restore"):
        for command in COMMANDS:
            result = run(config, command)
            told = (result.exit_code, result.stderr.count("\n"), "a restore of the index runs on" in result.stderr)
            assert told == (75, 1, True), f"{command}: {result.output}"
        for command in ("backup restore", "index rebuild --into sqlite:////tmp/never"):
            result = run(config, command)
            assert result.exit_code == 75 and "a restore of the index runs on" in result.stderr, result.output
        seen = json.loads(run(config, "nodes list --json").stdout)
        assert "a restore of the index runs on" in seen["locked"]
    assert json.loads(run(config, "nodes list --json").stdout)["locked"] is None
    assert run(config, "index counts").exit_code == 0


def test_every_command_keeps_others_from_replacing_the_index(config: Path, tmp_path: Path) -> None:
    """On one host the lock of the data folder is what they hold until they end."""
    with closing(open_node(ConfigFile(config))):
        result = run(config, "backup restore")
        assert result.exit_code == 2 and "another command works with its index" in result.stderr
    with lock.exclusive(tmp_path / "data"):
        for command in COMMANDS:
            assert run(config, command).exit_code == 2, command


def test_nodes(config: Path) -> None:
    assert run(config, "nodes list").stdout == "no node has been started\n"
    result = run(config, "nodes forget 1-2-3")
    assert result.exit_code == 2 and "there is no node 1-2-3" in result.stderr
