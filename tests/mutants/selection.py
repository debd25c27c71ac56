"""Which test files concern a mutant, and in which order they run: the nearest and those without processes first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.mutants.choice import package_of
from tests.mutants.mutant import Mutant

FOLDERS = {
    "": "archive store jobs safekeeping services",
    "archive": "archive safekeeping commitment services backups cli",
    "backups": "backups cli index",
    "cli": "cli jobs delivery scu services",
    "codecs": "codecs safekeeping cli services",
    "commitment": "commitment services cli",
    "conditions": "conditions cli index",
    "config": "config routing cli delivery services",
    "delivery": "delivery jobs routing cli services",
    "dicom": "dicom index archive codecs conditions scu cli services",
    "index": "index archive jobs safekeeping backups commitment conditions procedures delivery cli services",
    "jobs": "jobs index safekeeping commitment delivery polling cli",
    "polling": "polling jobs cli",
    "procedures": "procedures archive index services cli",
    "routing": "routing delivery config cli",
    "safekeeping": "safekeeping archive jobs cli",
    "scu": "scu delivery polling cli services",
    "server": "wire attacks services jobs cli",
    "services": "services attacks archive procedures",
    "store": "store archive safekeeping backups crash services cli",
    "wire": "wire scu attacks services delivery",
}
"""The folders of tests that concern each package of the product, the nearest first."""

CAMPAIGNS = re.compile(
    r"tests/(mutants|crash)/|tests/test_(readme|scripts|style|floors|peers)\b|"
    r".*/test_(drill|memory|full_disk|query_large|killed_peers|commitment_crash|floods|endless)\b"
)
"""Files that do not run: kills at random, large data, full disks, and what is not about behaviour."""

_PROCESSES = re.compile(
    r"\b(make_node|start_node|node\.address|siege|besiege|Client|dcmtk|gdcm|orthanc|cluster|new_database|redis|subprocess|"
    r"Server|tests\.peers\.(node|process))\b"
)
"""What the text of a test file names that starts nodes, peers or databases."""


def concerned_files(checkout: Path, mutant: Mutant, first: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Return the test files that concern a mutant: those of its module and package, and the others.

    Parameters
    ----------
    checkout : Path
        Where the tests are.
    mutant : Mutant
        The fault.
    first : iterable of str
        Files that run before all others, if they exist.
    """
    folders = FOLDERS[package_of(mutant.file)].split()
    tests = {
        str(path.relative_to(checkout)): path.read_text()
        for path in sorted((checkout / "tests").rglob("test_*.py"))
        if not CAMPAIGNS.match(str(path.relative_to(checkout)))
    }
    module = Path(mutant.file).with_suffix("").parts
    imports = re.compile(rf"{'[.]'.join(module)}\b|from {'[.]'.join(module[:-1])} import .*\b{module[-1]}\b")

    def order(file: str) -> tuple[int, int, str]:
        folder = Path(file).parts[1]
        near = folders.index(folder) if folder in folders else len(folders)
        is_named = near == 0 and module[-1] in Path(file).stem or bool(imports.search(tests[file]))
        if file in first:
            return 0, near, file
        if _PROCESSES.search(tests[file]):
            return 3 if is_named else 5, near, file
        return (1 if is_named else 2 if near == 0 else 4), near, file

    concerned = {file for file in tests if Path(file).parts[1] in folders or order(file)[0] < 4}
    files = sorted(concerned, key=order)
    count = sum(order(file)[0] < 4 for file in files)
    return files[:count], files[count:]
