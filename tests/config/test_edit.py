"""Editing config.ini."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medserver.config import ConfigFile
from medserver.config.edit import add_remote, change_remote, remove_remote
from medserver.errors import BadUsage, ConfigError, MedserverError

TEXT = """\
; head
[node]
port = 1        ; why

; the CT in room 3
[ae CT]
address = 10.0.0.5:104
; inside
allow = echo,
    store

; the MR
[ae MR]
address = 10.0.0.6:104
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.ini"
    file.write_text(TEXT)
    return file


def test_add_appends_and_keeps_all_else(path):
    remote = add_remote(
        path, "US 1", {"ae_title": "US1", "address": "10.0.0.7:104", "allow": ""}, comment="new"
    )
    assert (remote.name, remote.ae_title, remote.port, remote.allow) == ("US 1", "US1", 104, frozenset())
    assert path.read_text() == TEXT + "\n; new\n[ae US 1]\nae_title = US1\naddress = 10.0.0.7:104\nallow =\n"


def test_add_to_a_file_without_a_line_end_and_with_windows_line_ends(path):
    path.write_bytes(b"[node]\r\nport = 1")
    add_remote(path, "A", {"address": "::1"})
    assert path.read_bytes() == b"[node]\r\nport = 1\r\n\r\n[ae A]\r\naddress = ::1\r\n"
    add_remote(path, "B", {"address": "[::1]:104"})
    assert ConfigFile(path).current.remote_by_name("B").port == 104


def test_remove_takes_the_section_and_nothing_else(path):
    assert remove_remote(path, "CT").name == "CT"
    assert path.read_text() == TEXT.replace(
        "[ae CT]\naddress = 10.0.0.5:104\n; inside\nallow = echo,\n    store\n\n", ""
    )
    remove_remote(path, "MR")
    assert path.read_text().endswith("; the MR\n")


def test_add_then_remove_gives_the_file_back(path):
    add_remote(path, "US1", {"address": "10.0.0.7:104"})
    remove_remote(path, "US1")
    assert path.read_text().rstrip("\n") == TEXT.rstrip("\n")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("CT", {"address": "10.0.0.9"}, "already"),
        ("A\n[node]\nport = 9", {"address": "10.0.0.9"}, "line end"),
        ("A]", {"address": "10.0.0.9"}, "square bracket"),
        ("A", {"address": "10.0.0.9\nallow = store"}, "line end"),
        ("A", {"address": "[x"}, "square bracket"),
        ("A", {"address": "[::1]:104", "sources": "[::1]"}, "square bracket"),
        ("A", {"address": "10.0.0.9 ; x"}, "semicolon"),
        ("A", {"address": "10.0.0.9", "allow": "ecko"}, "did you mean 'echo'"),
        ("A", {"allow": "echo"}, "address or sources is needed"),
        ("A", {"address": "10.0.0.9", "adress": "x"}, "no option"),
        ("A", {"address": "10.0.0.9", "ae_title": "A\u2028B"}, "control character"),
        ("A = B", {"address": "10.0.0.9"}, "is not of the form"),
        ("", {"address": "10.0.0.9"}, "is not of the form"),
        ("A  B", {"address": "10.0.0.9"}, "read back"),
        ("CT2", {"ae_title": "CT", "address": "10.0.0.9:104"}, "could not tell them apart"),
    ],
)
def test_what_is_refused_leaves_the_file_alone(path, name, options, message):
    before = path.stat()
    with pytest.raises(MedserverError, match=message):
        add_remote(path, name, options)
    assert path.read_text() == TEXT
    assert path.stat().st_ino == before.st_ino
    assert os.listdir(path.parent) == ["config.ini"]


TEXTS = st.text(alphabet="AB1.:/,;[]=#\\ \n\r\t\x1b\u202eé'\"%", max_size=20)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=TEXTS, ae_title=TEXTS, sources=TEXTS, comment=TEXTS)
def test_no_text_reaches_another_entry(path, name, ae_title, sources, comment):
    path.write_text(TEXT)
    before = ConfigFile(path).current
    try:
        add_remote(
            path, name, {"address": "10.1.1.1", "ae_title": ae_title, "sources": sources}, comment=comment
        )
    except (BadUsage, ConfigError):
        assert path.read_text() == TEXT
        return
    after = ConfigFile(path).current
    assert after.node == before.node
    assert after.remotes[:-1] == before.remotes
    assert (after.remotes[-1].name, after.remotes[-1].ae_title) == (name, ae_title)


def test_a_broken_file_is_not_edited(path):
    path.write_text(TEXT + "[nonsense]\n")
    with pytest.raises(ConfigError, match="nonsense"):
        add_remote(path, "A", {"address": "10.0.0.9"})
    with pytest.raises(ConfigError, match="nonsense"):
        remove_remote(path, "CT")
    assert path.read_text() == TEXT + "[nonsense]\n"


def test_removing_what_is_not_there(path):
    with pytest.raises(BadUsage, match="no entry"):
        remove_remote(path, "node")


def test_permissions_and_links_are_kept(path, tmp_path):
    path.chmod(0o640)
    link = tmp_path / "link.ini"
    link.symlink_to(path)
    add_remote(link, "A", {"address": "10.0.0.9"})
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert ConfigFile(path).current.remote_by_name("A") is not None


def test_editors_wait_for_each_other(path):
    names = [f"A{number}" for number in range(24)]
    threads = [
        threading.Thread(target=add_remote, args=(path, name, {"sources": f"10.2.0.{number}"}))
        for number, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {remote.name for remote in ConfigFile(path).current.remotes} == {"CT", "MR", *names}


def test_options_are_changed_in_their_places(path):
    """Comments, other options and other entries stay; a value of several lines goes as a whole."""
    changed = change_remote(path, "CT", {"allow": "find", "sources": "10.0.0.5, 10.0.0.7"})
    assert changed.allow == {"find"}
    text = path.read_text()
    expected = TEXT.replace("allow = echo,\n    store\n", "allow = find\nsources = 10.0.0.5, 10.0.0.7\n")
    assert text == expected
    change_remote(path, "MR", {"allow": "echo"})
    assert path.read_text() == expected + "allow = echo\n"


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("US", {"allow": "find"}, BadUsage),
        ("CT", {"allow": "find\n[ae X]"}, BadUsage),
        ("CT", {"allow": "find ; not more"}, BadUsage),
        ("CT", {"allow": "fly"}, ConfigError),
        ("CT", {"colour": "red"}, ConfigError),
    ],
)
def test_a_change_that_cannot_be_made_leaves_the_file(path, name, options, kind):
    with pytest.raises(kind):
        change_remote(path, name, options)
    assert path.read_text() == TEXT
