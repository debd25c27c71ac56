"""What medserver uses of pynetdicom: public names of documented modules, nothing private, nothing by inheritance."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import medserver

ROOT = Path(medserver.__file__).parent

USED = {
    "pynetdicom.pdu": {
        "A_ABORT_RQ", "A_ASSOCIATE_AC", "A_ASSOCIATE_RJ", "A_ASSOCIATE_RQ", "A_RELEASE_RP", "A_RELEASE_RQ", "PDU",
    },
    "pynetdicom.pdu_primitives": {
        "A_ABORT", "A_ASSOCIATE", "A_P_ABORT", "A_RELEASE",
        "ImplementationClassUIDNotification", "ImplementationVersionNameNotification", "MaximumLengthNotification",
        "SCP_SCU_RoleSelectionNegotiation", "SOPClassExtendedNegotiation", "UserIdentityNegotiation",
    },
    "pynetdicom.presentation": {"PresentationContext", "negotiate_as_requestor"},
}  # fmt: skip
"""Every name that is imported, by module."""


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    """Return every module of medserver that imports from pynetdicom."""
    parsed = [(path, ast.parse(path.read_text())) for path in sorted(ROOT.rglob("*.py"))]
    return [(path, tree) for path, tree in parsed if any(imports(tree))]


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield module and name of everything that is imported from pynetdicom; the name is empty for a whole module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pynetdicom":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "pynetdicom")


def test_what_is_imported_is_listed() -> None:
    found: dict[str, set[str]] = {}
    for _, tree in trees():
        for module, name in imports(tree):
            found.setdefault(module, set()).add(name)
    assert found == USED


def test_nothing_is_inherited() -> None:
    for path, tree in trees():
        names = {name for _, name in imports(tree)}
        bases = {
            base.id
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for base in node.bases
            if isinstance(base, ast.Name)
        }
        assert not bases & names, path


def test_no_private_attribute_is_touched() -> None:
    """In a module that has objects of pynetdicom only one's own attributes begin with an underscore."""
    for path, tree in trees():
        touched = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        ]
        assert touched == [], path
