"""From texts to a Config."""

from __future__ import annotations

import os
import contextlib
import dataclasses
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medserver.config import Config, LimitOptions, LogOptions, NodeOptions, read_config
from medserver.config.options import NAMED_SECTIONS, OPTIONS, SECTIONS, Option, options_of
from medserver.errors import ConfigError
from tests.failures import Failures

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = Path("/srv/node")
SECTION_LINES = st.sampled_from(["[ae A]", "[ae B]", "[volume v]", *(f"[{section}]" for section in SECTIONS)])
OPTION_LINES = st.builds(
    "{} = {}".format, st.sampled_from([one.name for one in OPTIONS]), st.text(max_size=20)
)


def config(text: str = "", **options) -> Config:
    return read_config(text, base=BASE, **options).config


def problems(text: str = "", **options) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read_config(text, base=BASE, **options)
    return list(raised.value.problems)


def test_defaults_are_safe():
    defaults = config()
    assert defaults.node == NodeOptions(
        "MEDSERVER", "127.0.0.1", 11112, len(os.sched_getaffinity(0)), BASE / "data"
    )
    assert defaults.is_loopback
    assert defaults.remotes == ()
    assert defaults.store.duplicates == "keep"
    assert [(volume.name, volume.path) for volume in defaults.volumes] == [("main", BASE / "data" / "store")]
    assert defaults.primary_volume is defaults.volumes[0]
    assert defaults.limits.object_size_max_bytes == 16 * 1024**3
    assert defaults.log == LogOptions("info")


def test_records_have_the_names_of_the_options():
    for section, record in {"node": NodeOptions, "limits": LimitOptions, "log": LogOptions}.items():
        assert [field.name for field in dataclasses.fields(record)] == list(options_of(section))


def test_every_default_is_valid_and_every_option_explained():
    with Failures() as failures:
        for option in OPTIONS:
            with failures.of(f"{option.section}.{option.name}"):
                assert option.help.endswith(".")
                assert not option.unit or option.name.endswith(f"_{option.unit}")
                if option.default is not None:
                    option.type.parse(option.default)


def test_all_mistakes_are_reported_together_with_place_and_closest_name():
    found = problems(
        "[nod]\n[node]\nprot = 1\nport = many\n[limits]\nacse_timeout_s = -1\n"
        "[ae CT1]\naddress = 10.0.0.5:99999\nallow = ecko, store\n[ae]\n",
        overrides=["node.address=not an address", "nonsense"],
        environ={"MEDSERVER__LOG__LEVEL": "loud", "MEDSERVER__LOG": "x", "HOME": "/root"},
    )
    text = "\n".join(found)
    for expected in (
        "config.ini line 1: no section [nod] (did you mean 'node'?)",
        "config.ini line 3: [node] no option 'prot' (did you mean 'port'?)",
        "config.ini line 4: [node] port: 'many' is not a whole number",
        "config.ini line 6: [limits] acse_timeout_s:",
        "config.ini line 8: [ae CT1] address: '99999' is not a port",
        "config.ini line 9: [ae CT1] allow: no service 'ecko' (did you mean 'echo'?)",
        "config.ini line 10: [ae] is not of the form [ae NAME]",
        "--set: [node] address:",
        "--set 'nonsense': not of the form",
        "environment MEDSERVER__LOG__LEVEL: [log] level: 'loud' is not one of debug, info, warning, error",
        "environment MEDSERVER__LOG: not of the form",
    ):
        assert expected in text
    assert len(found) == 11


def test_the_command_line_goes_before_the_environment_and_that_before_the_file():
    reading = read_config(
        "[node]\nport = 1\naddress = 10.0.0.1\n",
        base=BASE,
        environ={"MEDSERVER__NODE__PORT": "2", "MEDSERVER__NODE__AE_TITLE": "ENV"},
        overrides=["node.port=3"],
    )
    assert (reading.config.node.port, reading.config.node.ae_title) == (3, "ENV")
    origins = {setting.option: setting.origin for setting in reading.settings if setting.section == "node"}
    assert origins == {
        "port": "--set",
        "ae_title": "environment MEDSERVER__NODE__AE_TITLE",
        "address": "config.ini line 3",
        "data": "default",
        "processes": "default",
        "tls_port": "default",
        "proxies": "default",
    }


def test_named_sections_from_outside_the_file():
    text = "[ae Ct.1]\naddress = 10.0.0.5\n"
    changed = config(text, overrides=["ae Ct.1.allow=find"], environ={"MEDSERVER__AE__CT.1__AE_TITLE": "CT"})
    assert [(one.name, one.ae_title, one.allow) for one in changed.remotes] == [("Ct.1", "CT", {"find"})]
    added = config("", environ={"MEDSERVER__AE__NEW__SOURCES": "10.0.0.0/8"})
    assert added.remotes[0].ae_title == "NEW"


@pytest.mark.parametrize("override", ["node.ae_title=A\nport = 1", "ae X\n[node.port=1", "log.level=\x00"])
def test_control_characters_from_outside_are_refused(override):
    assert "control character" in problems(overrides=[override])[0]


@pytest.mark.parametrize("ae_title", ["", "SEVENTEEN LETTERS", "A\\B", "MÜLLER"])
def test_ae_titles_that_are_none(ae_title):
    assert "AE title" in problems(f"[node]\nae_title = {ae_title}\n")[0]


def test_entries_of_subscribers():
    read = config(
        "[ae V6]\naddress = [2001:db8::1]:104\n"
        "[ae Caller]\nsources = 10.1.0.0/16, ::ffff:10.9.9.9\nallow = Store Echo\n"
        "private_sop_classes = 1.2.3,2.25.4\n"
        "[ae Long name]\nae_title = LONG\naddress = ct.example\n"
    )
    v6, caller, long_name = read.remotes
    assert (v6.ae_title, v6.host, v6.port, v6.is_destination) == ("V6", "2001:db8::1", 104, True)
    assert v6.sources == (ipaddress.ip_network("2001:db8::1/128"),)
    assert not v6.permits("echo")
    assert caller.sources == (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("10.9.9.9/32"))
    assert caller.permits("store") and caller.permits("echo") and not caller.permits("find")
    assert caller.private_sop_classes == ("1.2.3", "2.25.4")
    assert not caller.is_destination
    assert (long_name.source_host_name, long_name.sources) == ("ct.example", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ae A]\nallow = echo\n", "address or sources is needed"),
        ("[ae A]\naddress = 10.0.0.5/8\n", "neither an IP address nor a host name"),
        ("[ae A]\naddress = 10.0.0.555:104\n", "neither an IP address nor a host name"),
        ("[ae A]\nsources = 10.0.0.5/8\n", "write 10.0.0.0/8"),
        ("[ae A]\nsources = everywhere\n", "neither an IP address nor a network"),
        ("[ae A]\naddress = 10.0.0.5\nprivate_sop_classes = 1.2.3a\n", "not a UID: '1.2.3a'"),
        ("[ae A@B]\naddress = 10.0.0.5\n", "is not of the form [ae NAME]"),
        ("[ae A name that is too long]\naddress = 10.0.0.5\n", "ae_title is needed"),
        ("[volume a]\n", "path or url is missing"),
        ("[volume a]\npath = a\nurl = s3://bucket\n", "exclude each other"),
        ("[volume a]\nurl = s3://bucket/x\n", "the primary volume is a directory"),
        ("[volume a]\npath = a\nrole = replica\n", "one volume has to be primary"),
        ("[volume a]\npath = a\nregion = x\n", "only for a volume with a url"),
        ("[volume a]\npath = a\n[volume b]\npath = a\nrole = replica\n", "in the same place"),
        ("[volume a]\nurl = s3://id:secret@bucket/x\nrole = replica\n", "without user, password"),
        ("[volume a]\nurl = s3://bucket/../x\nrole = replica\n", "a prefix is made of letters"),
        ("[volume a]\nendpoint = https://id:secret@host\nurl = s3://bucket\nrole = archive\n", "without user"),
        ("[store]\ncopies_before_success = 2\n", "2 copies need as many volumes"),
        ("[volume a]\npath = a\n[volume b]\npath = b\n", "only one volume can be primary"),
        ("[node x]\n", "no section [node x]"),
        ("[DEFAULT]\nport = 1\n", "no section [DEFAULT]"),
        ("[index]\nurl = mysql://u:secret@h/d\n", "mysql://u:***@h/d"),
        ("[index]\nurl = sqlite://\n", "sqlite:/// and the path"),
        ("[limits]\nobject_size_max_bytes = 12 apples\n", "not a number of bytes"),
    ],
)
def test_mistakes(text, message):
    found = problems(text)
    assert message in found[0]
    assert "secret" not in found[0]


def test_volumes_are_read_in_the_order_of_their_roles():
    read = config(
        "[volume cold]\nurl = s3://bucket/pre/fix/\nrole = archive\nendpoint = http://127.0.0.1:9000/\n"
        "region = eu-1\ncredentials = keys\n"
        "[volume near]\npath = /mnt/near\nrole = replica\n[volume main]\npath = store\n"
        "[store]\ncopies_before_success = 2\n"
    )
    assert [volume.name for volume in read.volumes_to_read] == ["main", "near", "cold"]
    cold = read.volumes[0]
    assert (cold.url, cold.endpoint) == ("s3://bucket/pre/fix", "http://127.0.0.1:9000")
    assert (cold.path, cold.region, cold.credentials) == (None, "eu-1", BASE / "data" / "keys")
    assert read.primary_volume.path == BASE / "data" / "store"
    assert read.store.copies_before_success == 2


def test_two_destinations_with_one_ae_title_are_a_mistake():
    assert (
        "could not tell them apart"
        in problems(
            "[ae A]\nae_title = CT\naddress = 10.0.0.1:104\n[ae B]\nae_title = CT\naddress = 10.0.0.2:104\n"
        )[0]
    )
    assert (
        len(
            config(
                "[ae A]\nae_title = CT\naddress = 10.0.0.1:104\n[ae B]\nae_title = CT\nsources = ::1\n"
            ).remotes
        )
        == 2
    )


def test_sizes():
    limits = config("[limits]\npdu_size_max_bytes = 64 KiB\nobject_size_max_bytes = 1_000_000\n").limits
    assert (limits.pdu_size_max_bytes, limits.object_size_max_bytes) == (65536, 1_000_000)


def test_the_shipped_file_is_complete_and_says_the_defaults():
    text = (REPOSITORY / "config.ini").read_text(encoding="utf-8")
    shipped = read_config(text, base=REPOSITORY)
    assert dataclasses.replace(shipped.config, remotes=()) == read_config("", base=REPOSITORY).config
    assert shipped.config.is_loopback
    for remote in shipped.config.remotes:
        assert remote.host == "127.0.0.1"
    for option in OPTIONS:
        assert f"{option.name} = " in text, f"{option.section}.{option.name} is not in config.ini"
    written = {
        (setting.section, setting.option) for setting in shipped.settings if setting.origin != "default"
    }
    for option in OPTIONS:
        if option.section not in NAMED_SECTIONS:
            assert (option.section, option.name) in written


@pytest.mark.parametrize(
    ("ae_title", "service"),
    [
        ("ECHOSCU", "echo"),
        ("STORESCU", "store"),
        ("DCMSEND", "store"),
        ("FINDSCU", "find"),
        ("MOVESCU", "move"),
    ]
    + [("GETSCU", "get"), ("PYNETDICOM", "store"), ("GDCMSCU", "find"), ("ORTHANC", "store")],
)
def test_the_shipped_file_knows_the_tools(ae_title, service):
    shipped = read_config((REPOSITORY / "config.ini").read_text(encoding="utf-8"), base=REPOSITORY).config
    remote = shipped.remotes_for(ae_title, "127.0.0.1")
    assert remote is not None and remote.permits(service)
    assert shipped.remotes_for(ae_title, "127.0.0.2") is None
    destination = shipped.destination("STORESCP")
    assert (destination.host, destination.port) == ("127.0.0.1", 11113)


@settings(deadline=None, max_examples=300)
@given(st.lists(SECTION_LINES | OPTION_LINES))
def test_whatever_is_written_is_read_or_refused(lines):
    try:
        read_config("\n".join(lines), base=BASE)
    except ConfigError as error:
        assert error.problems
        assert all("\n" not in problem for problem in error.problems)


def parser_of(option: Option) -> tuple:
    """Return what two options have in common that are parsed by the same functions, within other bounds at most."""
    parse = option.type.parse
    return parse.__code__, *(cell.cell_contents for cell in parse.__closure__ or () if callable(cell.cell_contents))


@pytest.mark.parametrize(
    "option", {parser_of(one): one for one in OPTIONS}.values(), ids=lambda option: f"{option.section}.{option.name}"
)
@given(text=st.text(max_size=40) | st.from_regex(r"[0-9a-f:./\[\]@-]{0,40}", fullmatch=True))
def test_parsers_raise_nothing_but_value_error(option, text):
    with contextlib.suppress(ValueError):
        option.type.parse(text)


def test_sections_of_the_table():
    named = ("ae", "issuer", "route", "processing", "type", "printer", "poll", "retention")
    single = ("node", "index", "jobs", "store", "backup", "workitems", "audit", "volume", "limits", "mail", "tls")
    assert SECTIONS == (*single, "web", "log", *named)


FINGERPRINT = "sha256:" + "0123456789abcdef" * 4


def test_what_tls_of_an_entry_takes():
    tls = "[tls]\ncertificate = a.pem\nkey = a.key\nca = ca.pem\ncrl = crl.pem\n"
    own = "own_certificate = b.pem\nown_key = /b.key\nca = own.pem\n"
    shown = f"certificates = {FINGERPRINT.upper().replace('SHA', 'sha')}, dns:CT.example cn:CT\ntls = required\n"
    text = f"{tls}[ae A]\nsources = ::1\n[ae B]\nsources = ::1\n{shown}{own}"
    first, second = (remote.security for remote in config(text).remotes)
    data = BASE / "data"
    assert (first.level, first.ca, first.is_own_ca, first.crl) == ("no", data / "ca.pem", False, data / "crl.pem")
    assert (first.certificate, first.key) == (data / "a.pem", data / "a.key")
    assert second.pins == {FINGERPRINT}
    assert second.names == {"dns:ct.example", "cn:CT"}
    assert (second.ca, second.is_own_ca) == (data / "own.pem", True)
    assert (second.certificate, second.key) == (data / "b.pem", Path("/b.key"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[node]\nport = none\n", "nobody could call"),
        ("[node]\ntls_port = 2762\n", "run: medserver tls new"),
        ("[tls]\nkey = a.key\n", "the one needs the other"),
        ("[ae A]\nsources = ::1\ntls = required\n", "by which certificate it is recognised is missing"),
        ("[ae A]\nsources = ::1\ntls = required\ncertificates = cn:A\n", "a name needs a CA"),
        ("[ae A]\nsources = ::1\nown_key = a.key\n", "own_certificate and own_key"),
        ("[ae A]\nsources = ::1\ncertificates = sha256:12\n", "64 hexadecimal digits"),
        ("[ae A]\nsources = ::1\ncertificates = md5:12\n", "64 hexadecimal digits"),
        ("[ae A]\nsources = ::1\ntls = maybe\n", "is not one of no, accepted, required"),
    ],
)
def test_tls_that_could_not_work(text, problem):
    [found] = problems(text)
    assert problem in found
