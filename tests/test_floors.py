"""The contracts of setup.cfg: lower floors never import higher ones, and few packages know each library."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SETTINGS = REPOSITORY / "setup.cfg"
PREFIX = "importlinter:contract:"

LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(sys.argv[1], (sys.argv[2],), no_cache=True, no_logo=True))
"""


def contracts() -> list[str]:
    settings = configparser.ConfigParser()
    settings.read(SETTINGS)
    return [section.removeprefix(PREFIX) for section in settings.sections() if section.startswith(PREFIX)]


def check(contract: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Check the package medserver below `root` against a contract, where no other one can be imported."""
    return subprocess.run(
        [sys.executable, "-c", LINT, str(SETTINGS), contract],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("contract", contracts())
def test_contract_is_kept(contract: str) -> None:
    completed = check(contract, REPOSITORY)
    assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.mark.parametrize(
    ("contract", "module", "text", "complaint"),
    [
        (
            "floors",
            "dicom",
            "import medserver.wire",
            "medserver.dicom is not allowed to import medserver.wire",
        ),
        (
            "floors",
            "store",
            "import medserver.index",
            "medserver.store is not allowed to import medserver.index",
        ),
        ("floors", "utils", "", "medserver.utils"),
        ("network", "dicom", "import pynetdicom", "medserver.dicom"),
        ("database", "archive", "import peewee", "medserver.archive"),
        ("queue", "archive", "import huey", "medserver.archive"),
        ("pixels", "services", "import numpy", "medserver.services"),
    ],
)
def test_contract_catches(contract: str, module: str, text: str, complaint: str, tmp_path: Path) -> None:
    package = tmp_path / "medserver"
    package.mkdir()
    (package / "__init__.py").write_text("")
    users = {
        "wire": "import pynetdicom",
        "index": "import apsw, peewee",
        "codecs": "import numpy",
        "queue": "import huey, redis",
    }
    for name in ("errors", "dicom", "store", "archive", "services", *users):
        (package / f"{name}.py").write_text(users.get(name, ""))
    kept = check(contract, tmp_path)
    assert kept.returncode == 0, kept.stdout + kept.stderr

    (package / f"{module}.py").write_text(text)
    completed = check(contract, tmp_path)
    assert completed.returncode == 1
    assert complaint in completed.stdout
