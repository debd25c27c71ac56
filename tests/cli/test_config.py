"""``medserver config``."""

from __future__ import annotations

import json

from medserver.config.options import OPTIONS
import pytest

from tests.peers import command_line


def test_check(invoke, config_path):
    finished = invoke("config", "check")
    assert (finished.exit_code, finished.stdout) == (0, f"{config_path}: no mistakes, 2 AEs\n")
    assert json.loads(invoke("config", "check", "--json").stdout) == {
        "file": str(config_path),
        "ok": True,
        "ae_count": 2,
    }


def test_check_reports_every_mistake(invoke, config_path):
    config_path.write_text("[node]\nport = many\n[log]\nlevel = loud\n[ae]\n")
    finished = invoke("config", "check")
    assert finished.exit_code == 78
    lines = finished.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("medserver: config.ini line ") for line in lines)


NOT_THERE = ("ae", "issuer", "route", "processing", "type", "printer", "poll", "retention")
"""Kinds of sections that the configuration of these tests has none of, or not with every option."""


def test_show_gives_every_option_with_its_origin(invoke):
    finished = invoke(
        "--set", "log.level=debug", "config", "show", environment={"MEDSERVER__NODE__AE_TITLE": "ENV"}
    )
    lines = [" ".join(line.split()) for line in finished.stdout.splitlines()]
    assert finished.exit_code == 0
    for expected in (
        "[node]",
        "ae_title = ENV ; environment MEDSERVER__NODE__AE_TITLE",
        "port = 0 ; config.ini line 3",
        "address = 127.0.0.1 ; default",
        "level = debug ; --set",
        "[ae WS]",
        "sources = 10.0.1.0/24 ; config.ini line 11",
    ):
        assert expected in lines
    for option in OPTIONS:
        if option.default is not None and option.section not in NOT_THERE:
            assert any(line.startswith(f"{option.name} =") for line in lines)


def test_what_show_prints_can_be_read_again(invoke, config_path):
    printed = invoke("config", "show").stdout
    config_path.write_text(printed)
    again = invoke("config", "show")
    assert again.exit_code == 0

    def without_origins(text: str) -> list[str]:
        return [line.partition(" ;")[0].rstrip() for line in text.splitlines()]

    assert without_origins(again.stdout) == without_origins(printed)


def test_show_hides_passwords(invoke):
    for url in (
        "postgresql://me:s3cret@h/d", "postgresql://h/d?user=me&password=s3cret", "postgresql://h/d?sslpassword=s3cret",
        "postgresql://h/d?user=me&pass%77ord=s3cret",
    ):  # fmt: skip
        for arguments in ([], ["--json"]):
            finished = invoke("--set", f"index.url={url}", "config", "show", *arguments)
            assert finished.exit_code == 0
            assert "s3cret" not in finished.stdout
            assert "***" in finished.stdout


@pytest.mark.parametrize("password", ["s3/cret", "s3#cret", "s3?cret", "s3@cret", "s3%zzcret", "s3 cret"])
def test_a_password_that_is_not_encoded_is_not_repeated(invoke, password):
    for command in (["config", "show"], ["audit", "list"]):
        finished = invoke("--set", f"index.url=postgresql://me:{password}@127.0.0.1:1/d", *command)
        assert finished.exit_code == 78 and "%40" in finished.output
        assert "cret" not in finished.output


def test_an_unknown_option_of_a_url(invoke):
    finished = invoke("--set", "index.url=postgresql://me:s3cret@127.0.0.1:1/d?bogus=1", "audit", "list")
    assert finished.exit_code == 78 and "bogus" in finished.output and "s3cret" not in finished.output


def test_show_json(invoke):
    settings = json.loads(invoke("config", "show", "--json").stdout)
    port = next(one for one in settings if (one["section"], one["option"]) == ("node", "port"))
    assert port["text"] == "0"
    assert port["origin"] == "config.ini line 3"
    assert {"type", "unit", "help"} <= set(port)


def test_the_configuration_can_be_named_in_the_environment(config_path):
    finished = command_line.invoke("config", "check", environment={"MEDSERVER_CONFIG": str(config_path)})
    assert finished.stdout.startswith(str(config_path))


def test_show_tells_rules_so_that_they_can_be_read_again(invoke, config_path):
    rules = """
[route CT]
to = WS
Modality = CT\\MR
calling_ae_title = CT*
set = InstitutionName = Hospital, Ward 1
    PatientComments = sent on
remove = AccessionNumber, PatientAge
[poll WS]
source = WS
ModalitiesInStudy = CT
"""
    config_path.write_text(config_path.read_text().replace("[ae WS]", "[ae WS]\naddress = 10.0.1.1:104") + rules)
    shown = invoke("config", "show")
    assert shown.exit_code == 0, shown.stderr
    config_path.write_text(shown.stdout)
    again = invoke("config", "show")
    assert again.exit_code == 0, again.stderr
    for text in ("set = InstitutionName = Hospital, Ward 1", "    PatientComments = sent on", "modality = CT\\MR"):
        assert text in shown.stdout
        assert text in again.stdout
    options = json.loads(invoke("config", "show", "--json").stdout)
    assert {"modality", "set", "modalitiesinstudy"} <= {one["option"] for one in options}
