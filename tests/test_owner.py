"""Root at the command line, and a node of another user: what root makes is the node's, and what is not is told."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from medserver.config import ConfigFile
from medserver.errors import IndexFailure
from medserver.node import open_node
from medserver.server.permissions import require_writable
from tests.archive.conftest import receive
from tests.peers.command_line import invoke
from tests.peers.files import make_small

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder of another user, which he can reach."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who can become another user")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)  # noqa: S103 - patients have no images in it
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture
def config_path(folder: Path) -> Path:
    path = folder / "config.ini"
    path.write_text("[node]\ndata = data\nport = 0\n")
    os.chown(path, NOBODY, NOBODY)
    return path


def as_nobody(perform: Callable[[], Any]) -> Any:
    """Return what something comes to when the other user does it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(writing, json.dumps(perform()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answers:
        text = answers.read()
    os.waitpid(child, 0)
    return json.loads(text)


def test_what_root_makes_belongs_to_the_owner_of_the_folder(folder, config_path, tmp_path):
    with closing(open_node(ConfigFile(config_path))) as node:
        for sample in make_small(tmp_path, 2):
            receive(node, sample)
    for command in (
        ["index", "counts"], ["backup", "create"],
        ["ae", "add", "CT1", "--address", "10.0.0.5:104", "--allow", "echo"],
        ["store", "add", "near", "--path", "near"], ["index", "rebuild"], ["backup", "restore"],
    ):  # fmt: skip
        answer = invoke("--config", config_path, *command)
        assert answer.exit_code == 0, answer.output
    found = list(folder.rglob("*"))
    assert len(found) > 8
    assert [str(path) for path in found if path.stat().st_uid != NOBODY] == []
    assert as_nobody(lambda: invoke("--config", config_path, "backup", "create").exit_code) == 0


def test_a_node_does_not_start_on_an_index_that_it_cannot_write(folder, config_path):
    assert invoke("--config", config_path, "index", "counts").exit_code == 0
    index = folder / "data" / "index.db"

    def problem() -> str:
        try:
            require_writable(ConfigFile(config_path).current)
        except IndexFailure as error:
            return str(error)
        return ""

    assert as_nobody(problem) == ""
    os.chown(index, 0, 0)
    said = as_nobody(lambda: invoke("--config", config_path, "serve").stderr)
    assert f"{index}: it belongs to root and this is nobody; run: chown -R nobody: {folder}/data" in said
    assert len(said.splitlines()) == 1
    os.chown(index, NOBODY, NOBODY)
    index.chmod(0o440)
    assert f"run: chmod u+rw {index}" in as_nobody(problem)
