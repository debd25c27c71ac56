"""The rules of style that a program can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FUNCTION_LINES_MAX = 70
LINE_LENGTH_MAX = 120

# pycodestyle, pyflakes, mutable defaults. ruff cannot read setup.cfg, so its settings are here.
RUFF_RULES = "E,F,W,B006"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules(folder: str) -> list[tuple[str, ast.Module]]:
    paths = sorted((REPOSITORY / folder).rglob("*.py"))
    return [(str(path.relative_to(REPOSITORY)), ast.parse(path.read_text(), path)) for path in paths]


def nodes(folder: str, kind: type | tuple[type, ...]) -> Iterator[tuple[str, ast.AST]]:
    for name, module in modules(folder):
        for node in ast.walk(module):
            if isinstance(node, kind):
                yield f"{name}:{node.lineno}", node


def public_definitions(name: str, body: list[ast.stmt]) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Yield the public functions, classes and methods of a module or class; not those within functions."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{name}:{node.lineno} {node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(name, node.body)


def test_no_sleep_in_tests() -> None:
    """Tests wait for an event, or poll with a deadline."""
    calls = [
        place
        for place, call in nodes("tests", ast.Call)
        if getattr(call.func, "attr", getattr(call.func, "id", "")) == "sleep"
    ]
    assert calls == []


def test_no_bare_except() -> None:
    handlers = nodes("medserver", ast.ExceptHandler)
    assert [place for place, handler in handlers if handler.type is None] == []


def test_functions_fit_on_a_screen() -> None:
    functions = [*nodes("medserver", Function), *nodes("tests", Function)]
    long = [
        f"{place} {function.name}"
        for place, function in functions
        if function.end_lineno - function.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_everything_public_has_a_docstring() -> None:
    bare = [
        place
        for name, module in modules("medserver")
        for place, definition in public_definitions(name, module.body)
        if not ast.get_docstring(definition)
    ]
    bare += [name for name, module in modules("medserver") if not ast.get_docstring(module)]
    assert bare == []


def test_ruff() -> None:
    completed = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--no-cache",
            "--output-format=concise",
            f"--line-length={LINE_LENGTH_MAX}",
            f"--select={RUFF_RULES}",
            "medserver",
            "tests",
            "scripts",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
