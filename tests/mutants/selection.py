"""Which test files concern a mutant, and in which order they run: those first that name what it changes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.mutants.choice import package_of
from tests.mutants.mutant import Mutant

FOLDERS = {
    "": "archive store work safekeeping services",
    "archive": "archive routing safekeeping commitment services backups delivery cli",
    "audit": "audit trail",
    "backups": "backups cli index",
    "cli": "cli conditions commitment polling procedures backups work delivery scu services",
    "codecs": "codecs safekeeping cli services",
    "commitment": "commitment services cli",
    "conditions": "conditions cli index",
    "config": "config routing cli delivery services",
    "delivery": "delivery work routing cli services",
    "dicom": "dicom index archive codecs conditions scu cli services",
    "imaging": "imaging cli",
    "index": "index archive work safekeeping backups commitment conditions procedures delivery cli services",
    "queue": "work services",
    "work": "work index safekeeping commitment delivery polling cli",
    "polling": "polling work cli",
    "tls": "tls wire services cli",
    "identity": "identity accounts services cli",
    "accounts": "accounts index services cli",
    "queries": "services index web",
    "web": "web accounts",
    "workitems": "workitems index services cli",
    "processing": "processing workitems cli",
    "printing": "printing services cli",
    "procedures": "procedures archive index services cli",
    "retention": "retention index cli safekeeping",
    "routing": "routing delivery config cli",
    "safekeeping": "safekeeping archive work cli",
    "scu": "scu delivery polling cli services",
    "server": "wire attacks services work cli",
    "services": "services attacks archive procedures",
    "store": "store archive safekeeping backups services cli",
    "trail": "trail audit",
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

_NEARNESS = 0.3
_COST_OF_PROCESSES = 0.3


def concerned_files(checkout: Path, mutant: Mutant, first: Iterable[str] = ()) -> list[str]:
    """Return the test files that concern a mutant, the most promising first.

    A word of the mutant's module and function counts the more, the fewer files have it. Files of near folders are
    before those of others, and those that start processes are later. A file that is called like the module is first.

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
        file: f"{file}\n{path.read_text()}"
        for path in sorted((checkout / "tests").rglob("test_*.py"))
        if not CAMPAIGNS.match(file := str(path.relative_to(checkout)))
        and (path.parent.name in folders or mutant.module in path.stem or file in first)
    }
    scores = dict.fromkeys(tests, 0.0)
    for word in _words(mutant):
        having = [file for file, text in tests.items() if re.search(rf"(?<![a-z]){word}(?![a-z])", text, re.IGNORECASE)]
        for file in having:
            scores[file] += 1 / len(having)
    for file, text in tests.items():
        folder = Path(file).parts[1]
        scores[file] += _NEARNESS / (1 + folders.index(folder)) if folder in folders else 0
        scores[file] *= _COST_OF_PROCESSES if _PROCESSES.search(text) else 1
        scores[file] += mutant.module in Path(file).stem
    return sorted(tests, key=lambda file: (file not in first, -scores[file], file))


def _words(mutant: Mutant) -> list[str]:
    """Return the names of a mutant's module, class and function, and the words of which they are made."""
    names = [mutant.module, *re.findall(r"[A-Za-z]\w+", mutant.function)]
    parts = [part for name in names for part in re.findall(r"[A-Z]?[a-z]+", name)]
    return sorted({word.lower() for word in [*names, *parts] if len(word) > 3})
