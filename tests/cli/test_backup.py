"""``medserver backup restore``: which backup is brought back where none is named."""

from __future__ import annotations

import json
from contextlib import closing

from medserver.config import ConfigFile
from medserver.node import open_node
from tests.archive.conftest import receive
from tests.peers.files import make_small


def test_a_name_is_asked_for_where_an_older_backup_holds_more(config_path, tmp_path, invoke):
    config_path.write_text(config_path.read_text().replace("[node]", f"[node]\ndata = {tmp_path}/data"))
    with closing(open_node(ConfigFile(config_path))) as node:
        for sample in make_small(tmp_path / "made", 2):
            receive(node, sample)
    assert invoke("backup", "create").exit_code == 0
    full = json.loads(invoke("backup", "list", "--json").stdout)[0]["name"]
    empty = "99991231T000000Z-abcdef"  # made of an index that was begun anew
    for path in (tmp_path / "data").rglob(f"{full}*"):
        text = path.read_bytes()
        if path.suffix == ".json":
            text = text.replace(full.encode(), empty.encode()).replace(b'"instances": 2', b'"instances": 0')
        path.with_name(path.name.replace(full, empty)).write_bytes(text)
    for arguments in ((), ("latest",)):
        refused = invoke("backup", "restore", *arguments)
        assert refused.exit_code == 2, refused.output
        assert f"{empty} holds 0 instances, and {full} 2" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert not list((tmp_path / "data").glob("index.db.replaced*"))
    assert invoke("backup", "restore", full).exit_code == 0
