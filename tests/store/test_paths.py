"""Paths of objects: built here only, and nothing else is taken for one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.store import paths

DIGEST = "0123456789abcdef" * 4
VALID = f"2026/01/31/2359/{DIGEST}.dcm"

times = st.datetimes(
    min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(times, digests, st.integers(0, 999_999))
def test_every_built_path_is_an_object_path_and_tells_its_minute(moment, digest, suffix):
    path = f"{paths.minute_directory(moment)}/{paths.file_name(digest, suffix)}"
    assert paths.is_object_path(path)
    assert paths.checked(path) == path
    assert paths.directory_of(path) == paths.minute_directory(moment)
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    assert paths.sealed_minute(path) == minute
    assert paths.digest_of(path) == digest
    assert all(
        pattern.fullmatch(part) for pattern, part in zip(paths.COMPONENTS, path.split("/"), strict=True)
    )


@given(times, times, digests)
def test_paths_sort_by_time(first, second, digest):
    earlier, later = sorted((first, second))
    assert paths.minute_directory(earlier) <= paths.minute_directory(later)


@given(st.text(max_size=120))
def test_arbitrary_text_is_no_path_unless_it_has_exactly_the_shape(text):
    shape = re.fullmatch(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{4}/[0-9a-f]{64}(-[1-9][0-9]*)?\.dcm", text)
    assert not paths.is_object_path(text) or shape


@given(st.integers(0, len(VALID)), st.integers(0, 4), st.text(max_size=5))
def test_a_path_with_something_spliced_in_leads_nowhere_else(start, length, replacement):
    text = VALID[:start] + replacement + VALID[start + length :]
    if paths.is_object_path(text):
        assert ".." not in text and not text.startswith("/") and text.count("/") == 4 and text.isascii()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/" + VALID,
        "../" + VALID,
        "./" + VALID,
        VALID + "/",
        VALID + "\n",
        VALID + "\0",
        VALID.replace("/", "//", 1),
        VALID.replace("2359", ".."),
        VALID.replace("2359", "2460"),
        VALID.replace("/01/", "/13/"),
        VALID.replace("/31/", "/00/"),
        VALID.replace("2026", "２０２６"),
        VALID.replace("2026", "٢٠٢٦"),
        VALID.upper(),
        VALID.replace(".dcm", ""),
        VALID.replace(".dcm", "-0.dcm"),
        VALID.replace(".dcm", "-01.dcm"),
        VALID.replace(".dcm", f"-{10**19}.dcm"),
        VALID.replace(".dcm", ".dcm.part"),
        VALID.replace(DIGEST, DIGEST[1:]),
        VALID.replace(DIGEST, "../../../../etc/passwd"),
        "incoming/lock",
        VALID.replace("/", "\\"),
    ],
)
def test_attacks_are_refused(path):
    assert not paths.is_object_path(path)
    with pytest.raises(ValueError):
        paths.checked(path)


@pytest.mark.parametrize("digest", ["", "../" + DIGEST, DIGEST[:-1], DIGEST.upper(), DIGEST + "\n", "g" * 64])
def test_a_name_is_made_from_a_digest_only(digest):
    with pytest.raises(ValueError):
        paths.file_name(digest)


def test_time_needs_a_zone_and_is_brought_to_utc():
    with pytest.raises(ValueError):
        paths.minute_directory(datetime(2026, 1, 31))
    eastward = timezone(timedelta(hours=9))
    assert paths.minute_directory(datetime(2026, 2, 1, 8, 59, tzinfo=eastward)) == "2026/01/31/2359"
