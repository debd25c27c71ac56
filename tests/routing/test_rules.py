"""Which rules want an instance: against a matcher that is written anew, and by the forms that rules are written in."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medserver.config import Config, read_config
from medserver.routing.rules import Verdict, decisions, wanted_by, wants

MODALITIES = ("CT", "MR", "US", "PT")
DATES = ("20241231", "20250101", "20250615", "20251231", "20260101")
NAMES = ("Doe^Jane", "Doe^John", "Roe^Richard", "Dorian^Gray")
FORMS = ("-", "first-", "-last", "one")
AES = ("CT1", "CT2", "MR1")


def config(*routes: dict[str, str]) -> Config:
    """Return a configuration with these rules, to ONE and TWO."""
    text = "[ae ONE]\naddress = 127.0.0.1:1\n[ae TWO]\naddress = 127.0.0.1:2\n[ae CT1]\naddress = 127.0.0.1:3\n"
    for number, options in enumerate(routes):
        text += f"[route {number}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
    return read_config(text, base=Path("/nowhere")).config


def instance(modality: str, date: str, name: str, kvp: str) -> Dataset:
    dataset = Dataset()
    dataset.Modality, dataset.StudyDate, dataset.PatientName = modality, date, name
    if kvp:
        dataset.KVP = kvp
    return dataset


def globbed(pattern: str, text: str) -> bool:
    escaped = "".join({"*": ".*", "?": "."}.get(symbol, re.escape(symbol)) for symbol in pattern)
    return re.fullmatch(escaped, text) is not None


RULES = st.fixed_dictionaries(
    {},
    optional={
        "Modality": st.lists(st.sampled_from(MODALITIES), min_size=1, max_size=3, unique=True),
        "StudyDate": st.tuples(st.sampled_from(DATES), st.sampled_from(DATES), st.sampled_from(FORMS)),
        "PatientName": st.sampled_from(["Doe^*", "D*", "*^J*", "Roe^Richard", "?oe*"]),
        "KVP": st.sampled_from(["120", "80"]),
        "calling_ae_title": st.sampled_from(["CT1", "CT*", "MR1", "*1"]),
    },
)
INSTANCES = st.tuples(
    st.sampled_from(MODALITIES), st.sampled_from(DATES), st.sampled_from(NAMES), st.sampled_from(["", "80", "120"])
)


def written(rule: dict) -> dict[str, str]:
    """Return a rule as it stands in config.ini."""
    texts = {"to": "ONE"}
    for keyword, value in rule.items():
        if keyword == "Modality":
            texts[keyword] = "\\".join(value)
        elif keyword == "StudyDate":
            first, last, form = value
            first, last = min(first, last), max(first, last)
            texts[keyword] = {"-": f"{first}-{last}", "first-": f"{first}-", "-last": f"-{last}", "one": first}[form]
        else:
            texts[keyword] = value
    return texts


def brute_force(rule: dict, modality: str, date: str, name: str, kvp: str, calling: str) -> bool:
    if modality not in rule.get("Modality", MODALITIES):
        return False
    if "StudyDate" in rule:
        first, last, form = rule["StudyDate"]
        first, last = min(first, last), max(first, last)
        low, high = {"-": (first, last), "first-": (first, "9"), "-last": ("0", last), "one": (first, first)}[form]
        if not low <= date <= high:
            return False
    if not globbed(rule.get("PatientName", "*").lower(), name.lower()):
        return False
    if "KVP" in rule and kvp != rule["KVP"]:
        return False
    return globbed(rule.get("calling_ae_title", "*"), calling)


@given(RULES, INSTANCES, st.sampled_from(AES))
def test_a_rule_wants_what_a_simple_matcher_says(rule: dict, values: tuple, calling: str) -> None:
    [route] = config(written(rule)).routes
    assert wants(route, instance(*values), calling) == brute_force(rule, *values, calling)


@given(st.lists(RULES, max_size=4), INSTANCES, st.sampled_from(AES))
def test_nobody_gets_what_no_rule_names_and_nobody_gets_it_twice(rules: list, values: tuple, calling: str) -> None:
    targets = ["ONE", "TWO", "ONE, TWO", "CT1"]
    texts = [written(rule) | {"to": targets[number]} for number, rule in enumerate(rules)]
    expected, reasons = set(), []
    for number, rule in enumerate(rules):
        for name in targets[number].split(", "):
            reasons.append(
                Verdict.CONDITION if not brute_force(rule, *values, calling)
                else Verdict.SENDER if name == calling
                else Verdict.EARLIER_RULE if name in expected
                else Verdict.SENDS
            )  # fmt: skip
            expected |= {name} if reasons[-1] is Verdict.SENDS else set()
    decided = list(decisions(config(*texts), instance(*values), calling))
    assert [each.verdict for each in decided] == reasons
    found = [name for name, _ in wanted_by(config(*texts), instance(*values), calling)]
    assert sorted(found) == sorted(expected)


def test_the_first_rule_of_a_destination_decides_how() -> None:
    rules = config(
        {"to": "ONE", "Modality": "CT", "transfer_syntaxes": "rle"}, {"to": "ONE, TWO", "transfer_syntaxes": "j2k"}
    )
    [(one, first), (two, second)] = wanted_by(rules, instance("CT", DATES[0], NAMES[0], ""), "X")
    assert (one, first.name, two, second.name) == ("ONE", "0", "TWO", "1")


def test_sequences_and_names_of_options_in_any_case() -> None:
    [route] = config({"to": "ONE", "bodypartexamined": "HEAD", "ImageType": "ORIGINAL"}).routes
    dataset = Dataset()
    dataset.BodyPartExamined, dataset.ImageType = "HEAD", ["ORIGINAL", "PRIMARY"]
    assert wants(route, dataset, "")
    dataset.BodyPartExamined = "CHEST"
    assert not wants(route, dataset, "")
