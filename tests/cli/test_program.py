"""The program as a whole: help texts, errors, exit codes."""

from __future__ import annotations

import inspect

import click
import pytest

import medserver
from medserver import errors
from medserver.cli import SUBCOMMANDS, main
from medserver.cli.responses import EXIT_CODES, SOFTWARE, exit_code
from tests.peers import command_line

ERRORS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.MedserverError)
]


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return a command and all below it."""
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += commands(command.get_command(context, name), (*path, name))
    return found


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*one, id=" ".join(("medserver", *one[0]))) for one in commands(main)]
)
def test_every_command_and_option_has_help(path, command):
    result = command_line.invoke(*path, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: {' '.join(['medserver', *path])}")
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts}"


@pytest.mark.parametrize(("name", "summary"), SUBCOMMANDS)
def test_the_table_of_subcommands_says_what_they_say(name, summary):
    command = main.get_command(click.Context(main), name)
    assert command.help.splitlines()[0] == summary


def test_subcommands_are_in_order():
    names = [name for name, _ in SUBCOMMANDS]
    assert names == sorted(names)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code(kind):
    assert 0 < EXIT_CODES[kind] < 126


def test_exit_codes_of_subclasses_and_bugs():
    class Special(errors.UnknownRemote):
        """A class that somebody adds."""

    assert exit_code(Special()) == EXIT_CODES[errors.UnknownRemote]
    assert exit_code(KeyError()) == SOFTWARE


def test_help_is_quick_because_nothing_is_imported(program):
    finished = program("--help", environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert finished.returncode == 0
    for module in ("pynetdicom", "pydicom", "peewee", "numpy", "medserver.cli.ae", "medserver.index"):
        assert f" {module}\n" not in finished.stderr


def test_version(program):
    assert program("--version").stdout == f"medserver, version {medserver.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["--nonsense"], 2, "No such option"),
        (["--set", "node.prot=1", "config", "check"], 78, "did you mean 'port'"),
        (["--config", "/nowhere/config.ini", "config", "check"], 78, "no such file"),
        (["ae", "remove", "NOBODY"], 2, "no entry [ae NOBODY]"),
        (["ae", "echo", "NOBODY"], 69, "no entry [ae NOBODY]"),
        (["ae", "echo", "WS"], 2, "no address with a port"),
        (["find", "CT1", "-k", "Rows=99999999"], 2, "'99999999' is not a value of (0028,0010) US"),
        *[(["echo", "CT1", "--timeout", text], 2, "--timeout") for text in ("nan", "inf", "1e300", "0", "-1")],
        (["send", "CT1", ""], 2, "an empty path"),
        (["send", "CT1", "/nowhere", ""], 2, "an empty path"),
        (["get", "CT1", "", "-k", "StudyInstanceUID=1.2"], 2, "an empty path"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(invoke, arguments, code, message):
    finished = invoke(*arguments)
    assert finished.exit_code == code
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""
    if code != 2:
        assert finished.stderr.count("\n") == 1
        assert finished.stderr.startswith("medserver: ")


def test_debug_shows_the_traceback(invoke):
    finished = invoke("--debug", "--set", "node.prot=1", "config", "check")
    assert finished.exit_code == 78
    assert "Traceback" in finished.stderr


def test_a_text_of_the_command_line_cannot_add_lines(invoke):
    finished = invoke("ae", "remove", "A\nmedserver: all is well\x1b[31m")
    assert finished.exit_code == 2
    assert finished.stderr.count("\n") == 1
    assert r"\x1b[31m" in finished.stderr


def test_a_bug_is_one_line_too(invoke, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr("medserver.config.ConfigFile", broken)
    result = invoke("config", "check")
    assert result.exit_code == SOFTWARE
    assert "internal error: ZeroDivisionError: nobody thought of this" in result.output
    assert "Traceback" not in result.output
