"""What a rule may say; a rule that could never do anything, or does more than was meant, is a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver.config import Config, ConfigFile, Watermark, read_config
from medserver.errors import ConfigError

AES = """
[ae ARCHIVE]
address = 10.0.0.1:104
[ae COMMITTING]
address = 10.0.0.2:104
must_commit = yes
[ae NEWS]
address = 10.0.0.3:104
[route all]
to = ARCHIVE, COMMITTING
[route news]
to = NEWS
send = availability
"""
FAR = """
[volume main]
path = main
[volume far]
url = s3://far
role = archive
[volume near]
path = near
role = replica
"""
RULE = {"age": "30 d", "after": "delivered", "to": "ARCHIVE", "last_copy": "delete"}


def text_of(changes: dict[str, str | None], volumes: str = "") -> str:
    lines = [f"{name} = {value}" for name, value in (RULE | changes).items() if value is not None]
    return "\n".join([AES, volumes, "[retention r]", *lines])


def read(volumes: str = "", **changes: str | None) -> Config:
    return read_config(text_of(changes, volumes), base=Path("/")).config


def test_what_a_rule_says() -> None:
    config = read(
        after="Committed and  archived or delivered", to="COMMITTING", volume="main", watermark="80%", until="70 %",
        calling_ae_title="CT*", Modality="CT", dry_run="no",
    )  # fmt: skip
    [rule] = config.retentions
    assert rule.after == (("committed", "archived"), ("delivered",))
    assert (rule.age_s, rule.watermark, rule.dry_run) == (30 * 86_400, Watermark("main", 80, 70), False)
    assert [keyword for keyword, _, _ in rule.conditions] == ["calling_ae_title", "Modality"]
    assert config.retention("r") is rule
    assert config.retention("other") is None


def test_defaults_delete_nothing() -> None:
    [rule] = read(FAR, after="archived", to=None, last_copy=None).retentions
    assert (rule.last_copy, rule.dry_run, rule.watermark) == ("keep", True, None)


def test_what_is_deleted_makes_the_version_and_not_whether() -> None:
    [rule], [dry], [other] = (read(**each).retentions for each in ({"dry_run": "no"}, {}, {"age": "31 d"}))
    assert rule.digest == dry.digest != other.digest


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"age": None}, "age is missing"),
        ({"age": "30"}, "age: '30' is not a duration"),
        ({"after": None}, "after is missing"),
        ({"after": "delivered, archived"}, "'delivered, archived' is not one of delivered, committed, archived"),
        ({"after": "sent"}, "'sent' is not one of delivered, committed, archived, with 'and' or 'or' between them"),
        ({"after": "delivered and"}, "is not one of"),
        ({"to": None}, "to is missing: which AEs must have it"),
        ({"to": "ARCHIV"}, "to: no [ae ARCHIV] (did you mean 'ARCHIVE'?)"),
        ({"to": "NEWS"}, "to: no [route NAME] sends instances to NEWS"),
        ({"after": "committed"}, "[ae ARCHIVE] has no must_commit = yes: it is never asked to commit"),
        ({"after": "archived"}, "to: with after = archived no AE must have it"),
        ({"after": "archived or delivered"}, "last_copy: with delete the copy in the archive is deleted too"),
        ({"last_copy": None}, "there is one volume, so every copy is the last one"),
        ({"last_copy": "yes"}, "'yes' is not one of keep, delete"),
        ({"watermark": "80 %"}, "watermark: which volume? (volume = NAME)"),
        ({"watermark": "80"}, "'80' is not from 1 % to 99 %"),
        ({"watermark": "100 %"}, "is not from 1 % to 99 %"),
        ({"until": "70 %"}, "until: only with watermark"),
        ({"volume": "main"}, "volume: only with watermark"),
        ({"watermark": "80 %", "volume": "man"}, "volume: no volume 'man' (did you mean 'main'?)"),
        ({"watermark": "80 %", "volume": "main", "until": "80 %"}, "until: 80 % is not below the watermark, 80 %"),
        ({"watermark": "80 %", "volume": "far", "far": FAR}, "volume: far is a bucket, which has no size"),
        (
            {"watermark": "80 %", "volume": "near", "last_copy": None, "far": FAR},
            "volume: with last_copy = keep copies are removed from the primary volume only",
        ),
        ({"Modalty": "CT"}, "no option 'modalty'"),
        ({"StudyDate": "yesterday"}, "StudyDate:"),
    ],
)
def test_mistakes(changes: dict[str, str | None], problem: str) -> None:
    changes = dict(changes)
    volumes = str(changes.pop("far", ""))
    with pytest.raises(ConfigError) as raised:
        read(volumes, **changes)
    assert problem in "\n".join(raised.value.problems)
    assert all("[retention r]" in one for one in raised.value.problems)


def test_a_destination_that_is_removed_is_told_and_the_rule_stays(tmp_path: Path) -> None:
    """A running node goes on with what it had; at the next start it says what is wrong."""
    path = tmp_path / "config.ini"
    path.write_text(text_of({}))
    file = ConfigFile(path)
    path.write_text(text_of({}).replace("to = ARCHIVE, COMMITTING", "to = COMMITTING"))
    assert [rule.to for rule in file.current.retentions] == [("ARCHIVE",)]
    with pytest.raises(ConfigError, match="sends instances to ARCHIVE"):
        ConfigFile(path)


def test_a_running_node_takes_a_rule_over(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text(AES)
    file = ConfigFile(path)
    path.write_text(text_of({"dry_run": "no"}))
    assert [rule.dry_run for rule in file.current.retentions] == [False]
