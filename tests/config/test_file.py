"""config.ini while the node runs."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.errors import ConfigError

PATIENCE_S = 5.0

ENTRY = "[ae {0}]\naddress = 10.0.0.5\nallow = echo\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.ini"
    file.write_text("[node]\nport = 1\n" + ENTRY.format("A"))
    return file


def replace(path: Path, text: str) -> None:
    """Put a new file in its place, as editors do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_paths_start_at_the_file(path):
    file = ConfigFile(path)
    assert file.data == path.parent / "data"
    assert file.current.volumes[0].path == path.parent / "data" / "store"


def test_an_unchanged_file_is_read_once(path):
    file = ConfigFile(path)
    assert file.current is file.current


def test_new_subscribers_are_taken_over(path):
    file = ConfigFile(path)
    assert file.current.remotes_for("B", "10.0.0.5") is None
    replace(path, "[node]\nport = 1\n" + ENTRY.format("B"))
    assert file.current.remotes_for("B", "10.0.0.5").name == "B"
    assert file.current.remotes_for("A", "10.0.0.5") is None


def test_everything_else_waits_for_the_next_start(path, caplog):
    caplog.set_level(logging.INFO)
    file = ConfigFile(path)
    replace(path, "[node]\nport = 2\n" + ENTRY.format("B"))
    assert file.current.node.port == 1
    assert [remote.name for remote in file.current.remotes] == ["B"]
    assert "at the next start" in caplog.text
    assert ConfigFile(path).current.node.port == 2


def test_a_broken_file_changes_nothing_and_is_logged_once(path, caplog):
    file = ConfigFile(path)
    replace(path, "[node]\nport = many\n")
    with caplog.at_level(logging.ERROR):
        before = file.current
        assert file.current is before
    assert [remote.name for remote in before.remotes] == ["A"]
    assert caplog.text.count("config.ini line 2: [node] port: 'many'") == 1


def test_a_missing_file_changes_nothing_until_it_is_back(path, caplog):
    file = ConfigFile(path)
    text = path.read_text()
    path.unlink()
    assert [remote.name for remote in file.current.remotes] == ["A"]
    path.write_text(text + ENTRY.format("B"))
    assert [remote.name for remote in file.current.remotes] == ["A", "B"]


def test_a_pipe_is_not_read_again(path):
    """Who reads a pipe into which nobody writes waits for ever: a node would not even stop."""
    file = ConfigFile(path)
    before = file.current
    path.unlink()
    os.mkfifo(path)
    file.read_again()
    found = []
    reading = threading.Thread(target=lambda: found.append(file.current), daemon=True)
    reading.start()
    reading.join(PATIENCE_S)
    assert found == [before]


def test_overrides_stay(path):
    file = ConfigFile(path, ["ae A.allow=find"], {"MEDSERVER__NODE__PORT": "7"})
    replace(path, ENTRY.format("A") + ENTRY.format("B"))
    assert file.current.remote_by_name("A").permits("find")
    assert file.current.node.port == 7


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"[node]\n\xff", "byte 7 is not UTF-8")]
)
def test_files_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "config.ini"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ConfigFile(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "config.ini"
    path.write_bytes(b"\xef\xbb\xbf[node]\r\nport = 5\r\n")
    assert ConfigFile(path).current.node.port == 5


def test_nobody_gets_the_old_configuration_while_the_new_one_is_read(path):
    """An AE that was just approved is not rejected because another thread has noticed the change first."""
    file = ConfigFile(path, look_every_s=60.0)
    file.read_again()
    names = [f"AE{number}" for number in range(300)]
    replace(path, "[node]\nport = 1\n" + "".join(map(ENTRY.format, names)))
    together = threading.Barrier(4)

    def known_last() -> bool:
        together.wait(PATIENCE_S)
        return file.current.remotes_for(names[-1], "10.0.0.5") is not None

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: known_last(), range(4))) == [True] * 4
