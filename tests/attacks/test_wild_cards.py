"""Keys that mean something to a database: they mean to us what PS3.4 C.2.2.2 says, and nothing else."""

from __future__ import annotations

import re
from contextlib import ExitStack
from itertools import product

import pytest
from pydicom.datadict import tag_for_keyword

from medserver.dicom import uids
from medserver.dicom.attributes import ATTRIBUTES
from tests.attacks import exchange, raw
from tests.attacks.conftest import SiegeFactory
from tests.attacks.hostile import element, query
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

VALUES = (
    "50%", "50x", "5_0", "5x0", "%", "_", "%%", "*", "?", "a*b", "axxb",
    "O'Neil", "O''Neil", "OxNeil", "'", "''", '"', 'say "x"', '"studies"', ";", "a;b", "--", "/* x */",
    "' OR '1'='1", "x'); DROP TABLE studies; --", "1; DELETE FROM studies", "' UNION SELECT 1 --",
    "[ab]", "a", "b", "[", "]", "[^a]", "^a", "[]", "{1}", "$1", ":1", ":name", "%s", "%(x)s", "@x", "#", "(", ")",
    "\t", "Ä", "ä", "A", "ẞ", "İ", "👩‍⚕️", "\u202e", "NULL", "null", "0", "00", "1e1",
)  # fmt: skip

PATTERNS = (
    "5%0", "5_?", "5?0", "50?", "*%", "%*", "*_*", "_?", "??", "?", "*'*", "O*Neil", "O?Neil", "*''*", '*"*', "*;*",
    "*--*", "' OR 1=1 *", "*' OR '1'='1", "*[*", "[*", "[ab]*", "[^a]*", "[a-z]*", "*]", "?a", "{*}", "$?", ":*",
    "*\u202e", "*👩*", "*;DROP*", "a*b*", "*a*x*b*", "n?ll", "*%s*", "(*", "*/",
)  # fmt: skip

BACKSLASHES = ("\\", "\\\\", "50%\\5_0", "50\\%", "\\'", "'\\--", "a\\*", "\\%\\_", "%\\\\*'*")

CHARACTER_SET_TAG = 0x00080005
CHARACTER_SET = {"SpecificCharacterSet": "ISO_IR 192"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def siege(request: pytest.FixtureRequest, besiege: SiegeFactory) -> Siege:
    """Give a node with an index in each of the databases."""
    if request.param == "sqlite":
        return besiege()
    return besiege({"index.url": request.getfixturevalue("new_database")()})


@pytest.fixture(scope="module", autouse=True)
def stored(siege: Siege) -> dict[str, corpus.Object]:
    """Store a study for each value; give them by value."""
    objects = {
        value: corpus.make_object(
            **CHARACTER_SET,
            PatientID=f"P{number}",
            PatientName=f"N{number}",
            StudyDescription=value,
            AccessionNumber=value,
            StudyID=str(number),
        )
        for number, value in enumerate(VALUES)
    }
    for value, one in objects.items():
        assert str(one.dataset.StudyDescription) == value
    assert set(Client(siege.node.address).store(*objects.values())) == {0}
    # Each process keeps its connections to the database, for writing and for reading, once it has had them.
    with ExitStack() as stack:
        stores = [stack.enter_context(exchange.storing(siege.node.address)) for _ in range(6)]
        finds = [stack.enter_context(exchange.finding(siege.node.address)) for _ in range(6)]
        assert {store(objects["%"].encoded, objects["%"].sop_instance_uid) for store in stores} == {0}
        assert {find(query("STUDY", element(0x00100020, "LO", b"P0"))) for find in finds} == {(0, 1)}
    return objects


def expected(key: str) -> list[str]:
    """Return the values that a key matches, by a reference of its own."""
    texts = [text for text in (one.strip(" ") for one in key.split("\\")) if text]
    if not texts or any(not text.strip("*") for text in texts):
        return sorted(VALUES)
    return sorted(value for value in VALUES if any(fits(text, value) for text in texts))


def fits(key: str, value: str) -> bool:
    r"""Tell whether a value fits a key: ``*`` and ``?`` are wild cards, everything else stands for itself."""
    if not set(key) & set("*?"):
        return key == value
    pattern = "".join({"*": ".*", "?": "."}.get(sign) or re.escape(sign) for sign in key)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


@pytest.mark.filterwarnings("ignore:.*VR (LO|SH).*:UserWarning")
def test_texts(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """Of an attribute without a database index, and of one with."""

    def attack() -> None:
        with Client(siege.node.address).querying() as ask:
            for keyword, key in product(("StudyDescription", "AccessionNumber"), (*VALUES, *PATTERNS, *BACKSLASHES)):
                found = ask("STUDY", CHARACTER_SET | {keyword: key, "StudyInstanceUID": ""})
                assert (found.status, sorted(found.values(keyword))) == (0, expected(key)), key

    siege.withstands(attack)


def asked(keyword: str, vr: str, value: str) -> bytes:
    """Return an identifier in which a key has any bytes."""
    character_set = element(CHARACTER_SET_TAG, "CS", b"ISO_IR 192")
    return character_set + query("STUDY", element(tag_for_keyword(keyword), vr, value.encode()))


def test_keys_that_are_no_texts(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """A UID, date or time with other signs does not fit its VR, and is refused."""
    hostile = [value for value in VALUES if re.search(r"[^0-9.*?\t-]", value)]
    keys = (("StudyInstanceUID", "UI"), ("StudyDate", "DA"), ("StudyTime", "TM"))

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for (keyword, vr), value in product(keys, hostile):
                assert find(asked(keyword, vr, value)) == (0xA900, 0), (keyword, value)

    siege.withstands(attack)


def test_keys_that_are_computed(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """A number that is none, or a modality that is none, is no study's; what cannot be a UID is refused."""
    keys = (("NumberOfStudyRelatedInstances", "IS"), ("ModalitiesInStudy", "CS"), ("SOPClassesInStudy", "UI"))

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for (keyword, vr), value in product(keys, set(VALUES) - {"*", "\t", "?", "%"}):
                is_refused = vr == "UI" and re.search("[^0-9.]", value)
                assert find(asked(keyword, vr, value)) == (0xA900 if is_refused else 0, 0), (keyword, value)

    siege.withstands(attack)


def filled(value: bytes, study: str, instance: str) -> bytes:
    """Return a data set in which every attribute of the index has the same value, but for its identity."""
    known = {
        "SOPClassUID": raw.CT_IMAGE_STORAGE,
        "SOPInstanceUID": instance,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": uids.new_uid(),
    }
    rows = sorted((row for row in ATTRIBUTES if row.column and row.vr != "SQ"), key=lambda row: row.tag)
    return element(CHARACTER_SET_TAG, "CS", b"ISO_IR 192") + b"".join(
        element(row.tag, row.vr, known[row.keyword].encode() if row.keyword in known else value)
        for row in rows
        if row.tag > CHARACTER_SET_TAG
    )


def test_values_of_any_length(siege: Siege) -> None:
    """Each attribute of the index far too long: no column and no database index is too short for it."""

    def attack() -> None:
        with exchange.storing(siege.node.address) as store, exchange.finding(siege.node.address) as find:
            for unit in ("x", "é", "👩", "x^y=", "x\\", "\0", "'"):
                study, instance = uids.new_uid(), uids.new_uid()
                value = (unit * 12_000).encode()[:12_000]
                assert store(filled(value, study, instance), instance) == 0, unit
                assert find(asked("StudyInstanceUID", "UI", study)) == (0, 1), unit

    siege.withstands(attack)


def test_keys_with_nulls(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """No text of PostgreSQL holds one: such a key is refused, or means what it means without."""
    values = ("a\0b", "\0", "a\0", "\0*", "*\0?", "1.2\0.3", "ä\0ö")
    keys = (("StudyDescription", "LO"), ("PatientName", "PN"), ("ModalitiesInStudy", "CS"), ("StudyInstanceUID", "UI"))

    def attack() -> None:
        with exchange.finding(siege.node.address) as find:
            for (keyword, vr), value in product(keys, values):
                is_refused = vr == "UI" and value.strip("\0*")
                assert find(asked(keyword, vr, value))[0] == (0xA900 if is_refused else 0), (keyword, value)

    siege.withstands(attack)


@pytest.mark.filterwarnings("ignore:.*VR (UI|LO).*:UserWarning", "ignore:Invalid value:UserWarning")
def test_retrieves(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """What a retrieve names is what it gets; that a database would take it for more does not matter."""
    kinds = corpus.kinds_of(stored.values())
    client = Client(siege.node.address, "GETSCU")

    def attack() -> None:
        for key in ("%", "P_", "P%", "' OR ''='", "P1' OR 'a'='a", "P1; --", 'P1"', "[P]1", "p1"):
            got = client.get("PATIENT", CHARACTER_SET | {"PatientID": key}, kinds, model="PATIENT")
            assert (got.status, got.received) == (0, {}), key
        for key in ("%", "' OR ''='", "1.2%", "1.2' --"):
            got = client.get("STUDY", {"StudyInstanceUID": key}, kinds)
            assert (got.status, got.received) == (0xA900, {}), key
        got = client.get("PATIENT", {"PatientID": "P1"}, kinds, model="PATIENT")
        assert list(got.received) == [stored[VALUES[1]].sop_instance_uid]

    siege.withstands(attack)


def test_everything_is_still_there(siege: Siege, stored: dict[str, corpus.Object]) -> None:
    """Behind all of the above: nothing was dropped, deleted or changed."""
    keys = {"PatientID": "P*", "StudyInstanceUID": "", "StudyDescription": ""}
    found = Client(siege.node.address).find("STUDY", CHARACTER_SET | keys)
    assert sorted(found.values("StudyDescription")) == sorted(VALUES)
