"""What each command imports: a library that is not needed costs every call tenths of a second.

Each kind of command runs once in an interpreter of its own, and has imported no more than its row says. A new command
needs an entry in `COMMANDS`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from medserver import archive
from medserver.cli import main
from medserver.imports import import_all

from tests.cli.test_program import commands


@dataclass(frozen=True)
class Kind:
    """A kind of command.

    Parameters
    ----------
    libraries : frozenset of str
        The libraries, and the modules of `SLOW`, that it may import.
    begin : str
        Python to be run first.
    """

    libraries: frozenset[str]
    begin: str = ""


SLOW = frozenset({"asyncio", "email", "http", "multiprocessing", "ssl", "subprocess", "unittest", "xml", "zipfile"})
"""The modules of Python itself that take long to import."""

DATABASE = {"apsw", "peewee", "playhouse", "subprocess"}
# pydicom imports numpy, its plug-ins, and what downloads its examples, which takes requests if that is installed; and
# Pillow, if that is.
DATA_SETS = {
    "numpy", "pydicom", "PIL", "jpeg_ls", "openjpeg", "pylibjpeg", "email", "http", "ssl", "subprocess", "zipfile",
    "certifi", "chardet", "charset_normalizer", "idna", "requests", "tqdm", "urllib3",
}  # fmt: skip

CERTIFICATES = {"cryptography", "OpenSSL", "cffi", "_cffi_backend", "email", "typing_extensions"}

KINDS: Mapping[str, Kind] = {
    "configuration": Kind(frozenset({"click"})),
    "types": Kind(frozenset({"click", "email", "zipfile"})),  # which importlib.metadata needs, that finds plug-ins
    "index": Kind(frozenset({"click", *DATABASE})),
    "network": Kind(frozenset({"click", *DATA_SETS, "pynetdicom"})),
    "objects": Kind(frozenset({"click", *DATABASE, *DATA_SETS})),
    "all": Kind(frozenset({"click", *DATABASE, *DATA_SETS, "pynetdicom"})),
    # What a node imports before it forks; that has no command that ends.
    "certificates": Kind(frozenset({"click", *CERTIFICATES})),
    "all certificates": Kind(frozenset({"click", *CERTIFICATES, *DATA_SETS, *DATABASE, "pynetdicom"})),
    "passcodes": Kind(frozenset({"click", *DATABASE, "argon2"})),
    "node": Kind(
        frozenset({"click", *DATABASE, *DATA_SETS, "pynetdicom", "huey", "multiprocessing"}), "import medserver.server"
    ),
}

PEER = "X@127.0.0.1:1"
UID = "1.2.3"

COMMANDS: Mapping[str, tuple[str, str]] = {
    "access explain": ("index", "WS --user anna"),
    "access list": ("all", ""),
    "ae add": ("configuration", "NEW --address 10.0.0.9:104"),
    "ae approve": ("index", "NOBODY"),
    "ae echo": ("network", "WS"),
    "ae list": ("configuration", ""),
    "ae pending": ("index", ""),
    "ae remove": ("configuration", "NEW"),
    "audit export": ("index", "trail.jsonl"),
    "audit list": ("index", ""),
    "audit repositories": ("index", ""),
    "audit show": ("index", "1"),
    "audit verify": ("index", ""),
    "backup create": ("index", ""),
    "backup list": ("index", ""),
    "backup restore": ("objects", ""),
    "backup verify": ("index", ""),
    "commit": ("all", f"{PEER} {UID}"),
    "conditions compare": ("objects", UID),
    "conditions show": ("objects", UID),
    "config check": ("configuration", ""),
    "config show": ("configuration", ""),
    "conformance": ("all", ""),
    "doctor": ("all", ""),
    "echo": ("network", PEER),
    "find": ("network", f"{PEER} -k PatientID=1"),
    "get": ("network", f"{PEER} . -k StudyInstanceUID={UID}"),
    "index check": ("index", ""),
    "index conflicts list": ("index", ""),
    "index conflicts resolve": ("index", "1 --why seen"),
    "index conflicts show": ("index", "1"),
    "index counts": ("index", ""),
    "index duplicates list": ("index", ""),
    "index duplicates promote": ("objects", "1"),
    "index duplicates show": ("objects", "1"),
    "index rebuild": ("objects", ""),
    "jobs drop": ("index", "1"),
    "jobs list": ("index", ""),
    "jobs pause": ("all", "deliver"),
    "jobs resume": ("all", "deliver"),
    "jobs retry": ("index", "1"),
    "jobs show": ("index", "1"),
    "manual": ("configuration", ""),
    "move": ("network", f"{PEER} --to WS -k StudyInstanceUID={UID}"),
    "nodes forget": ("index", "1"),
    "nodes list": ("index", ""),
    "outbox drop": ("index", "1"),
    "outbox list": ("index", ""),
    "outbox pause": ("index", "WS"),
    "outbox resume": ("index", "WS"),
    "outbox retry": ("index", "1"),
    "outbox send": ("index", "GONE --unchanged"),
    "outbox show": ("index", "1"),
    "poll list": ("index", ""),
    "poll run": ("all", "archive"),
    "poll status": ("index", ""),
    "print cancel": ("index", "1.2"),
    "print preview": ("all", "1.2 page.pdf"),
    "print queue": ("index", ""),
    "print retry": ("index", "1.2"),
    "print send": ("all", UID),
    "print show": ("index", "1.2"),
    "printer calibrate": ("configuration", "--help"),
    "printer list": ("index", ""),
    "printer serve": ("node", "--help"),
    "printer status": ("configuration", ""),
    "procedures list": ("index", ""),
    "procedures show": ("index", UID),
    "render": ("all", f"{UID} -o picture.png"),
    "processing derivations": ("all", UID),
    "processing rules": ("all", ""),
    "processing run": ("all", f"copy {UID}"),
    "processing show": ("types", "denoise"),
    "processing test": ("objects", "config.ini"),
    "processing types": ("types", ""),
    "retention run": ("index", "--really"),
    "retention show": ("index", ""),
    "route list": ("configuration", ""),
    "route test": ("objects", "config.ini"),
    "send": ("network", f"{PEER} config.ini"),
    "serve": ("node", "--help"),
    "store add": ("index", "far --path far"),
    "store attach": ("index", "main"),
    "store detach": ("index", "main"),
    "store compress": ("index", ""),
    "store delete": ("index", f"{UID} --force"),
    "store drain": ("index", "main"),
    "store repair": ("index", ""),
    "store replicate": ("index", ""),
    "store status": ("index", ""),
    "store verify": ("index", ""),
    "tls csr": ("certificates", ""),
    "tls expiry": ("certificates", ""),
    "tls new": ("certificates", ""),
    "tls show": ("certificates", ""),
    "tls trust": ("all certificates", "WS"),
    "token add": ("index", "dashboard --role auditor"),
    "token list": ("index", ""),
    "token remove": ("index", "dashboard"),
    "transcode": ("network", "config.ini out --to explicit"),
    "user add": ("passcodes", "anna --role reader --generate"),
    "user edit": ("passcodes", "anna --generate"),
    "user list": ("index", ""),
    "user remove": ("index", "anna"),
    "worker": ("node", "--help"),
    "workitem cancel": ("all", UID),
    "workitem create": ("all", "--label Test"),
    "workitem list": ("all", ""),
    "workitem show": ("all", UID),
    "workitem subscribe": ("all", "--receiver WS"),
    "workitem subscribers": ("all", ""),
    "workitem suspend": ("all", "--receiver WS"),
    "workitem unsubscribe": ("all", "--receiver WS"),
    "workitem watch": ("all", UID),
}
"""Command -> its kind, and the arguments with which it runs here; many of them end with a message."""

# Runs commands one after the other, and tells for each which libraries it was the first to import.
RUN = """
import json, sys

def libraries():
    return {name.partition(".")[0] for name in sys.modules} & (set(sys.stdlib_module_names) & SLOW | others())

def others():
    ours = ("medserver", "sitecustomize", "usercustomize", "__main__", "__mp_main__")
    names = {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)}
    return {name for name in names - set(sys.stdlib_module_names) if not name.startswith(("_", *ours))}

SLOW, lines = set(json.loads(sys.argv[1])), json.loads(sys.argv[2])
exec(sys.argv[3])
from medserver.cli import main

known, found = set(), {}
for line in lines:
    try:
        main(["--config", "config.ini", *line], prog_name="medserver")
    except SystemExit:
        pass
    found[" ".join(line)] = sorted(libraries() - known)
    known |= libraries()
print(json.dumps(found), file=open("found.json", "w"))
"""


def test_every_command_has_a_kind() -> None:
    leaves = {" ".join(path) for path, command in commands(main) if not hasattr(command, "commands") and path}
    assert leaves == COMMANDS.keys()
    assert {kind for kind, _ in COMMANDS.values()} == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_command_imports_what_its_kind_needs(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.ini").write_text(
        "[node]\nport = 0\n\n[volume main]\npath = store\nfree_min_bytes = 1 MiB\n\n"
        "[ae WS]\naddress = 127.0.0.1:1\nallow = find\n\n"
        "[route CT]\nto = WS\nModality = CT\nset = InstitutionName = Hospital\n\n"
        "[printer film]\noutput = pdf\nfolder = films\n\n"
        "[poll archive]\nsource = WS\nStudyDate = 20260101-\n"
    )
    lines = [[*one.split(), *rest.split()] for one, (kind, rest) in COMMANDS.items() if kind == name]
    given = [json.dumps(sorted(SLOW)), json.dumps(lines), KINDS[name].begin]
    completed = subprocess.run(
        [sys.executable, "-c", RUN, *given], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert completed.returncode == 0, completed.stderr
    assert "internal error" not in completed.stderr and "Usage:" not in completed.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == len(lines)
    too_many = {line: names for line, loaded in found.items() if (names := set(loaded) - KINDS[name].libraries)}
    assert too_many == {}, completed.stderr


def test_all_that_a_package_offers_on_demand_is_there() -> None:
    import_all(archive)
    assert not [name for name in archive.__all__ if isinstance(getattr(archive, name), ModuleType)]
    with pytest.raises(AttributeError, match="no_such_name"):
        archive.no_such_name  # noqa: B018
