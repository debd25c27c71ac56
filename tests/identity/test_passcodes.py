"""Passcodes: what is kept of them, and what they are compared with."""

from __future__ import annotations

import pytest

from medserver.identity import passcodes
from medserver.identity.passcodes import hash_passcode, is_passcode


def test_a_passcode_is_kept_as_argon2id_with_a_salt() -> None:
    first, second = hash_passcode(b"correct horse"), hash_passcode(b"correct horse")
    assert first.startswith("$argon2id$") and first != second
    assert is_passcode(b"correct horse", first) and is_passcode(b"correct horse", second)


@pytest.mark.parametrize("wrong", [b"", b"correct hors", b"correct horse ", b"x" * 100_000, b"\xff\xfe"])
def test_another_one_is_wrong(wrong: bytes) -> None:
    assert not is_passcode(wrong, hash_passcode(b"correct horse"))


def test_the_same_text_typed_in_two_ways() -> None:
    """RFC 8265 4.2: e and an accent are one letter or two."""
    assert is_passcode("cafe\u0301-creme".encode(), hash_passcode("caf\u00e9-creme".encode()))


@pytest.mark.parametrize("passcode", [b"", b"7 bytes", b"x" * 1025])
def test_one_that_is_too_short_or_too_long_is_not_kept(passcode: bytes) -> None:
    with pytest.raises(ValueError, match="8 to 1024 bytes"):
        hash_passcode(passcode)


@pytest.mark.parametrize("kept", ["", "x", "$argon2id$v=19$m=65536,t=3,p=4$broken"])
def test_nobody_has_a_passcode(kept: str) -> None:
    assert not is_passcode(b"", kept) and not is_passcode(b"correct horse", kept)


def test_as_much_is_computed_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time tells nothing about who there is: one verification with the same parameters in either case."""
    verified: list[str] = []
    hashed: list[int] = []
    hasher = passcodes._hasher()
    passcodes._of_nobody.cache_clear()

    class Counting:
        def hash(self, passcode: bytes) -> str:
            hashed.append(len(verified))
            return hasher.hash(passcode)

        def verify(self, kept: str, passcode: bytes) -> bool:
            verified.append(kept.rsplit("$", 2)[0])
            return hasher.verify(kept, passcode)

    kept = hash_passcode(b"correct horse")
    monkeypatch.setattr(passcodes, "_hasher", Counting)
    assert [is_passcode(b"wrong", kept), is_passcode(b"wrong", "")] == [False, False]
    assert len(verified) == 2 and verified[0] == verified[1]
    assert hashed == [0], "what nobody has is made before the first comparison, also where somebody is known"
