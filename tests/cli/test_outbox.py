"""``medserver outbox``: what it shows of deliveries in every state, what it changes, and its errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.index import Job, Lane, NewJob
from medserver.index.jobs.outcome import changed
from medserver.index.jobs.records import IN_TURN, Verdict
from medserver.node import Node, open_node
from medserver.routing.deliveries import CONFIRM, DELIVER, HOLD, SENDING_KINDS, Delivery, noted
from tests.clock import Clock

ENTRIES = """
[ae ARCHIVE]
address = 127.0.0.1:1

[ae OTHER]
address = 127.0.0.1:2
transfer_syntaxes = j2k

[route research]
to = ARCHIVE, OTHER
Modality = CT
set = PatientName = ANON
remove = StudyDate
transfer_syntaxes = rle
"""
CORRECTED = ENTRIES.replace("= ANON", "= ANONYMOUS")
RENAMED = ENTRIES.replace("[route research]", "[route for research]")
WITHOUT = ENTRIES.partition("[route")[0]
DOWN, FULL = "cannot connect to OTHER: refused", "0xA700 refused: out of resources"


ON_BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Give lines of the configuration that name a database: SQLite unless the test says so."""
    is_sqlite = getattr(request, "param", "sqlite") == "sqlite"
    return "" if is_sqlite else f"[index]\nurl = {request.getfixturevalue('new_database')()}\n\n"


@pytest.fixture
def write(config_path: Path, database: str) -> Callable[[str], None]:
    """Give a function that writes the entries of the configuration."""
    head = config_path.read_text().replace("[node]", f"{database}[node]\ndata = {config_path.parent}/data")
    return lambda entries: config_path.write_text(head + entries) and None


@pytest.fixture
def node(config_path: Path, write: Callable[[str], None]) -> Iterator[Node]:
    write(ENTRIES)
    opened = open_node(ConfigFile(config_path))
    yield opened
    opened.close()


def add(
    node: Node, count: int, kind: str = DELIVER, destination: str = "ARCHIVE", route: str | None = "research"
) -> list[int]:
    rule = node.config.current.route("research")
    version = noted(node.index.rule_versions, rule) if rule and route == "research" else "f" * 64 if route else ""
    deliveries = [Delivery(f"1.2.{number}", DELIVER, route, version, "1.3", "1.4", "CT1") for number in range(count)]
    return node.index.add_jobs([NewJob(kind, each, destination, due_at=IN_TURN) for each in deliveries])


def claimed(node: Node, destination: str = "ARCHIVE", kind: str = DELIVER) -> Job:
    until = node.clock() + timedelta(minutes=1)
    claims = {"lease_until": until, "concurrency": 9, "destination_concurrency": 9}
    [job] = node.index.jobs.claim(Lane(kind, destination), owner=f"{destination}{until}", **claims)
    return job


def listed(invoke, *options: str) -> list[dict]:
    return json.loads(invoke("outbox", "list", "--json", *options).stdout)


def waits(invoke, *options: str) -> dict[int, str]:
    return {row["id"]: row["waits_for"] for row in listed(invoke, *options)}


@pytest.fixture
def every(node: Node) -> Node:
    """Give a node whose deliveries wait for one thing each, but pauses and hours."""
    add(node, 6)
    add(node, 1, HOLD)
    add(node, 1, route="gone")
    add(node, 1, destination="OTHER")
    node.index.jobs.fail(claimed(node), "0xC000 cannot understand\nit", None)
    node.index.jobs.fail(claimed(node), "0x0110 processing failure", node.clock() + timedelta(hours=1))
    taken = claimed(node)
    confirming = changed(taken, CONFIRM, Delivery.of(taken), IN_TURN).change
    node.index.jobs.settle([Verdict(taken, "changed", change=confirming)])
    node.index.jobs.settle([Verdict(claimed(node), "undecided", error="nobody knows")])
    claimed(node)
    lanes = [Lane(kind, "OTHER") for kind in SENDING_KINDS]
    node.index.jobs.leave_alone(lanes, DOWN, lambda failures: node.clock() + timedelta(minutes=3))
    return node


EVERY = {
    1: "decision", 2: "next-try", 3: "commitment", 4: "decision", 5: "nothing", 6: "turn", 7: "completeness",
    8: "decision", 9: "connection",
}  # fmt: skip


@ON_BOTH
def test_each_waits_for_one_thing(every, invoke):
    assert waits(invoke) == EVERY
    for what in {*EVERY.values(), "pause", "hours", "resources"}:
        assert waits(invoke, "--waits-for", what) == {key: value for key, value in EVERY.items() if value == what}
    [other] = listed(invoke, "--destination", "OTHER")
    assert (other["id"], other["last_answer"]) == (9, DOWN)  # though it was not tried itself
    assert [*waits(invoke, "--rule", "gone")] == [8]
    assert [*waits(invoke, "--instance", "1.2.0")] == [1, 7, 8, 9]
    assert [*waits(invoke, "--limit", "2")] == [1, 2]
    assert "more than these 2" in invoke("outbox", "list", "--limit", "2").stderr
    assert invoke("outbox", "list", "--instance", "1.9").stdout == "no such delivery waits\n"


@ON_BOTH
def test_the_summary_says_the_same_as_the_list(every, invoke):
    archive, other = json.loads(invoke("outbox", "--json").stdout)
    counts = {part["what"]: part["count"] for part in archive["waits_for"]}
    assert counts == {"nothing": 1, "turn": 1, "next-try": 1, "completeness": 1, "commitment": 1, "decision": 3}
    assert [archive[key] for key in ("waiting", "unconfirmed", "given_up", "undecided")] == [
        6, 1, 1, {"research": 1, "gone": 1},
    ]  # fmt: skip
    assert [part["what"] for part in other["waits_for"]] == ["connection"]
    assert (other["reason"], other["pauses"][0]["by"]) == (DOWN, "destination")
    told = invoke("outbox").stdout
    assert "OTHER cannot be reached, and is left alone for 3 min: cannot connect to OTHER: refused\n" in told
    assert "no rule 'gone' sends this to it any more" in told
    assert "1 delivery to ARCHIVE waits for a decision: refused for good, or given up" in told


def test_a_full_destination_is_told_from_one_that_is_down(node, invoke):
    add(node, 1)
    lanes = [Lane(kind, "ARCHIVE") for kind in SENDING_KINDS]
    node.index.jobs.leave_alone(lanes, FULL, lambda failures: node.clock() + timedelta(minutes=3))
    assert waits(invoke) == {1: "resources"}
    assert "ARCHIVE has no resources, and is left alone for 3 min: 0xA700" in invoke("outbox").stdout
    assert invoke("outbox", "resume", "ARCHIVE").stdout == "ARCHIVE is resumed\n"
    assert waits(invoke) == {1: "turn"}


def test_the_alarm_counts_from_first_wanted(node, invoke):
    add(node, 1)
    assert invoke("outbox", "--alarm", "1 h").exit_code == 0
    assert invoke("outbox", "--alarm", "0 s").exit_code == 1
    node.index.jobs.fail(claimed(node), "0xC000", None)
    assert invoke("outbox", "--alarm", "1 h").exit_code == 1
    refused = invoke("outbox", "--alarm", "soon")
    assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1


def test_what_has_to_be_committed_to_is_as_old_as_its_wish(config_path, write, invoke):
    write(ENTRIES)
    clock = Clock(datetime.now(UTC) - timedelta(hours=1))
    with closing(open_node(ConfigFile(config_path), clock=clock)) as node:
        add(node, 1)
        for kind in (CONFIRM, DELIVER, CONFIRM):  # taken, not committed to, taken again
            clock.advance(60)
            job = claimed(node, kind=CONFIRM if kind == DELIVER else DELIVER)
            becomes = changed(job, kind, Delivery.of(job), IN_TURN).change
            node.index.jobs.settle([Verdict(job, "changed", change=becomes)])
    assert [(row["waits_for"]) for row in listed(invoke)] == ["commitment"]
    assert [invoke("outbox", "--alarm", limit).exit_code for limit in ("59 min", "61 min")] == [1, 0]


@pytest.mark.parametrize(
    ("entries", "rule_is", "name", "shown"),
    [
        (ENTRIES, "present", "research", "research"),
        (CORRECTED, "former version", "research", "research (former version)"),
        (RENAMED, "renamed", "for research", "research (now for research)"),
        (WITHOUT, "lost", None, "research (lost)"),
    ],
)
def test_what_became_of_the_rule(node, invoke, write, entries, rule_is, name, shown):
    add(node, 1)
    write(entries)
    [row] = listed(invoke)
    assert (row["rule"], row["rule_is"], row["rule_now"]) == ("research", rule_is, name)
    assert shown in invoke("outbox", "list").stdout
    lines = dict(line.split(maxsplit=1) for line in invoke("outbox", "show", "1").stdout.splitlines())
    assert lines["wanted"] == "Modality = CT"
    assert lines["changes"] == "set PatientName = ANON; remove StudyDate"
    will = "sent to ARCHIVE: set PatientName = ANON; remove StudyDate, as rle"
    if rule_is == "lost":
        will = "nothing, until an administrator decides: medserver outbox send --help"
    assert lines["will"] == f"be         {will}"
    shown_as_json = json.loads(invoke("outbox", "show", "1", "--json").stdout)
    assert (shown_as_json["set"], shown_as_json["conditions"]) == ({"PatientName": "ANON"}, {"Modality": "CT"})


@ON_BOTH
def test_a_corrected_rule_sends_what_waits(node, invoke, write):
    add(node, 3)
    claimed(node)
    add(node, 1, CONFIRM)
    add(node, 1, destination="OTHER")
    write(CORRECTED)
    changed = json.loads(invoke("outbox", "send", "research", "--by", "research", "--json").stdout)["changed"]
    assert changed == [2, 3, 5]  # what is being sent, or was, is left alone
    assert {row["id"]: row["rule_is"] for row in listed(invoke)} == {
        1: "former version", 2: "present", 3: "present", 4: "former version", 5: "present",
    }  # fmt: skip
    assert invoke("outbox", "send", "research", "--by", "research").stdout == "0 deliveries will be done\n"
    for way in ("--unchanged", "--as-decided"):  # else what the rule removes would go out
        refused = invoke("outbox", "send", "research", way)
        assert refused.exit_code == 2 and "nothing waits for a decision" in refused.stderr


@pytest.mark.parametrize(("way", "manner"), [("--as-decided", "set PatientName = ANON"), ("--unchanged", "unchanged")])
def test_what_has_lost_its_rule_is_sent_without(node, invoke, write, way, manner):
    add(node, 2)
    write(WITHOUT)
    assert waits(invoke) == {1: "decision", 2: "decision"}
    assert invoke("outbox", "send", "research", way).stdout == "2 deliveries will be done\n"
    assert waits(invoke) == {1: "turn", 2: "turn"}
    assert f"none, {way.removeprefix('--').replace('-', ' ')}" in invoke("outbox", "list").stdout
    assert f"sent to ARCHIVE: {manner}" in invoke("outbox", "show", "2").stdout


def test_a_destination_that_is_gone(node, invoke, write):
    add(node, 1, CONFIRM)
    add(node, 1)
    write("")
    told = invoke("outbox").stdout
    assert "nothing can be sent to ARCHIVE: there is no entry [ae ARCHIVE] with an address and a port" in told
    assert [one["has_entry"] for one in json.loads(invoke("outbox", "--json").stdout)] == [False]
    assert waits(invoke) == {1: "commitment", 2: "decision"}
    assert "nothing: there is no entry [ae ARCHIVE]" in invoke("outbox", "show", "2").stdout
    assert invoke("outbox", "pause", "ARCHIVE").exit_code == 0
    assert invoke("outbox", "drop", "--destination", "ARCHIVE").stdout == "2 deliveries dropped\n"


def test_what_an_older_medserver_decided_cannot_be_sent_so(node, invoke, write):
    node.index.add_jobs([NewJob(DELIVER, {"sop_instance_uid": "1.2", "route": "old"}, "ARCHIVE")])
    refused = invoke("outbox", "send", "old", "--as-decided")
    assert refused.stderr == "medserver: what the rule 'old' said is not known: say --by RULE or --unchanged\n"
    assert invoke("outbox", "send", "old", "--by", "research").stdout == "1 delivery will be done\n"


@ON_BOTH
def test_retry_and_drop(every, invoke):
    assert invoke("outbox", "retry", "1", "2").stdout == "2 deliveries will be tried\n"
    assert waits(invoke) == EVERY | {1: "turn", 2: "turn"}
    assert invoke("outbox", "drop", "--rule", "gone").stdout == "1 delivery dropped\n"
    told = invoke("outbox", "drop", "--destination", "ARCHIVE").stdout
    assert told == "6 deliveries dropped; 1 left alone: being sent, or done\n"
    assert json.loads(invoke("outbox", "drop", "--waits-for", "connection", "--json").stdout) == {"dropped": [9]}
    assert waits(invoke) == {5: "nothing"}


def test_all_pages_are_changed(node, invoke, write):
    add(node, 1_201)
    write(CORRECTED)
    assert invoke("outbox", "send", "research", "--by", "research").stdout == "1201 deliveries will be done\n"
    assert invoke("outbox", "retry", "--rule", "research").stdout == "1201 deliveries will be tried\n"
    assert invoke("outbox", "drop", "--waits-for", "turn").stdout == "1201 deliveries dropped\n"
    assert invoke("outbox").stdout == invoke("outbox", "list").stdout == "nothing waits to be sent\n"


@ON_BOTH
def test_pause_and_resume(node, invoke):
    add(node, 1)
    add(node, 1, HOLD)
    add(node, 1, CONFIRM)
    add(node, 1, destination="OTHER")
    assert invoke("outbox", "pause", "ARCHIVE").stdout == "ARCHIVE is paused\n"
    assert waits(invoke) == {1: "pause", 2: "completeness", 3: "pause", 4: "turn"}
    assert "ARCHIVE is paused by an administrator: medserver outbox resume ARCHIVE\n" in invoke("outbox").stdout
    invoke("jobs", "pause", DELIVER)
    assert waits(invoke)[4] == "pause"
    told = invoke("outbox").stdout
    assert "deliver is paused for all destinations by an administrator: medserver jobs resume deliver\n" in told
    told = invoke("outbox", "resume", "ARCHIVE").stdout
    assert told == "ARCHIVE is resumed, but paused for all destinations: deliver (medserver jobs resume KIND)\n"
    invoke("jobs", "resume", DELIVER)
    assert waits(invoke) == {1: "turn", 2: "completeness", 3: "commitment", 4: "turn"}
    invoke("outbox", "pause", "OTHER")
    invoke("outbox", "drop", "4")
    assert "OTHER is paused" in invoke("outbox").stdout  # though nothing waits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "99"], "there is no delivery 99: it is done, or was dropped"),
        (["show", "2"], "2 is no delivery: medserver jobs show 2"),
        (["retry", "1", "99"], "there is no delivery 99: it is done, or was dropped"),
        (["drop", "2"], "2 is no delivery: medserver jobs show 2"),
        (["drop"], "which deliveries? name IDs, or --destination, --rule or --waits-for"),
        (["drop", "1", "--rule", "research"], "name deliveries by ID, or by options, not both"),
        (["pause", "ARCHVE"], "no destination 'ARCHVE' (did you mean 'ARCHIVE'?)"),
        (["resume", ""], "no destination '' (valid: ARCHIVE, CT1, OTHER)"),
        (["send", "research", "--by", "gone"], "no rule 'gone' sends this to ARCHIVE"),
        (["send", "gone", "--by", "research"], "nothing waits by the rule 'gone'"),
        (["send", "gone", "--unchanged"], "nothing waits for a decision about the rule 'gone'"),
        (["send", "research"], "say one of --by RULE, --unchanged and --as-decided"),
        (["--json", "list"], "--alarm is for the summary alone, and --json stands behind the command"),
        (["--alarm", "2 h", "list"], "--alarm is for the summary alone, and --json stands behind the command"),
    ],
)
def test_errors_are_one_line(node, invoke, arguments, message):
    add(node, 1)
    node.index.add_jobs([NewJob("copy", {"n": 1}, "BACKUP")])
    before = waits(invoke)
    result = invoke("outbox", *arguments)
    assert (result.exit_code, result.stderr) == (2, f"medserver: {message}\n")
    assert waits(invoke) == before == {1: "turn"}
