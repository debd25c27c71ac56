"""Who is believed: what an entry demands, what is sent, and what is known, in every combination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from medserver.accounts import managing
from medserver.accounts.authentication import authenticate, check_still_demanded, current_user
from medserver.config import Identification
from medserver.errors import BadUsage, IdentityRefused
from medserver.identity.principal import User
from medserver.identity.user_identity import UserIdentity, encode_user_identity
from medserver.index import Index, open_index
from medserver.index.accounts.records import TOKEN, USER

PASSCODE = b"correct horse"
CONFIG = SimpleNamespace(issuers=())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index with one account of each sort."""
    with open_index("sqlite:///index.db", base=tmp_path_factory.mktemp("index")) as opened:
        long_ago = datetime.now(UTC) - timedelta(days=1)
        managing.add_user(opened, "anna", ["reader"], PASSCODE)
        managing.add_user(opened, "bare", ["operator"], b"")
        managing.add_user(opened, "expired", ["reader"], PASSCODE, long_ago)
        managing.add_user(opened, "bare-expired", ["reader"], b"", long_ago)
        managing.add_user(opened, "disabled", ["reader"], PASSCODE)
        managing.edit_user(opened, "disabled", is_disabled=True)
        yield opened


def ask(index: Index, demanded: str, identity: UserIdentity | bytes | None, *, users=(), tls: bool = True):
    encoded = encode_user_identity(identity) if isinstance(identity, UserIdentity) else identity
    return authenticate(index, CONFIG, Identification(demanded, users), encoded, is_confidential=tls)


IDENTITIES = {
    "none": (None, None),
    "bare": (UserIdentity(1, True, b"bare"), "bare"),
    "bare, padded": (UserIdentity(1, False, b"bare\0"), "bare"),
    "a name without its passcode": (UserIdentity(1, True, b"anna"), IdentityRefused),
    "passcode": (UserIdentity(2, True, b"anna", PASSCODE), "anna"),
    "wrong passcode": (UserIdentity(2, True, b"anna", b"wrong horse"), IdentityRefused),
    "no passcode": (UserIdentity(2, True, b"anna", b""), IdentityRefused),
    "a passcode for one who has none": (UserIdentity(2, True, b"bare", PASSCODE), IdentityRefused),
    "an empty passcode for one who has none": (UserIdentity(2, True, b"bare", b""), IdentityRefused),
    "nobody": (UserIdentity(2, True, b"nobody", PASSCODE), IdentityRefused),
    "nobody, bare": (UserIdentity(1, True, b"nobody"), IdentityRefused),
    "expired": (UserIdentity(2, True, b"expired", PASSCODE), IdentityRefused),
    "expired, bare": (UserIdentity(1, True, b"bare-expired"), IdentityRefused),
    "disabled": (UserIdentity(2, True, b"disabled", PASSCODE), IdentityRefused),
    "Kerberos": (UserIdentity(3, True, b"ticket"), IdentityRefused),
    "SAML": (UserIdentity(4, True, b"<saml/>"), IdentityRefused),
    "token, nobody vouches": (UserIdentity(5, True, b"a.b.c"), IdentityRefused),
    "another type": (UserIdentity(6, True, b"x"), IdentityRefused),
    "type 0": (UserIdentity(0, True, b"bare"), IdentityRefused),
    "no name": (UserIdentity(1, True, b""), IdentityRefused),
    "not UTF-8": (UserIdentity(1, True, b"\xff\xfe"), IdentityRefused),
    "NUL within": (UserIdentity(2, True, b"an\0na", PASSCODE), IdentityRefused),
    "NUL within, bare": (UserIdentity(1, True, b"ba\0re"), IdentityRefused),
    "a line end": (UserIdentity(1, True, b"bare\nadmin"), IdentityRefused),
    "from right to left": (UserIdentity(1, True, "\u202ebare".encode()), IdentityRefused),
    "a long name": (UserIdentity(1, True, b"x" * 300), IdentityRefused),
    "bytes that are none": (b"\x01", IdentityRefused),
    "nothing": (b"", IdentityRefused),
}


@pytest.mark.parametrize(("demanded", "case"), list(product(("none", "accepted", "required"), IDENTITIES)))
def test_every_identity_under_every_demand(index: Index, demanded: str, case: str) -> None:
    identity, expected = IDENTITIES[case]
    if demanded == "none":
        assert ask(index, demanded, identity) == (None, False)
    elif expected is IdentityRefused or (identity is None and demanded == "required"):
        with pytest.raises(IdentityRefused) as refused:
            ask(index, demanded, identity)
        assert "horse" not in str(refused.value)
    elif identity is None:
        assert ask(index, demanded, None) == (None, False)
    else:
        user, confirms = ask(index, demanded, identity)
        assert user.name == expected and confirms == identity.wants_response


@pytest.mark.parametrize("case", ["passcode", "wrong passcode", "token, nobody vouches"])
def test_no_secret_is_believed_that_came_in_the_clear(index: Index, case: str) -> None:
    with pytest.raises(IdentityRefused, match="in the clear"):
        ask(index, "accepted", IDENTITIES[case][0], tls=False)
    assert ask(index, "accepted", IDENTITIES["bare"][0], tls=False)[0].name == "bare"


@pytest.mark.parametrize("identity_type", [1, 2])
def test_a_secret_in_the_place_of_the_name_is_not_repeated(index: Index, identity_type: int) -> None:
    with pytest.raises(IdentityRefused) as refused:
        ask(index, "required", UserIdentity(identity_type, True, PASSCODE, b"anna"))
    assert PASSCODE.decode() not in str(refused.value)


def test_only_the_users_of_the_entry(index: Index) -> None:
    anna = IDENTITIES["passcode"][0]
    assert ask(index, "required", anna, users=("anna", "berta"))[0] == User("anna", ("reader",))
    with pytest.raises(IdentityRefused, match=r"anna is not one of \[ae\] users"):
        ask(index, "required", anna, users=("berta",))


def test_a_user_is_what_it_is_now(tmp_path: Path) -> None:
    with open_index("sqlite:///index.db", base=tmp_path) as index:
        managing.add_user(index, "anna", ["reader"], b"")
        anna = ask(index, "required", UserIdentity(1, True, b"anna"))[0]
        assert current_user(index, anna) == anna
        managing.edit_user(index, "anna", roles=["operator"])
        assert current_user(index, anna).roles == ("operator",)
        managing.edit_user(index, "anna", is_disabled=True)
        assert current_user(index, anna) is None
        managing.edit_user(index, "anna", is_disabled=False)
        assert current_user(index, anna) is not None
        managing.remove(index, USER, "anna")
        assert current_user(index, anna) is None
        of_another = User("anna@hospital", ("reader",))
        assert current_user(index, of_another) is of_another


def test_a_token_is_kept_as_its_digest(tmp_path: Path) -> None:
    with open_index("sqlite:///index.db", base=tmp_path) as index:
        token = managing.add_token(index, "dashboard", ["auditor"])
        kept = index.accounts.get(TOKEN, "dashboard").secret
        assert token.startswith("mst_") and token not in kept
        assert index.accounts.with_secret(TOKEN, managing.digest_of(token)).name == "dashboard"
        with pytest.raises(BadUsage, match="there is a token dashboard"):
            managing.add_token(index, "dashboard", ["admin"])


@pytest.mark.parametrize("name", ["", ".", "-x", "a b", "a@b", "x" * 65, "ä", "a\n"])
def test_names_that_cannot_be(index: Index, name: str) -> None:
    with pytest.raises(BadUsage, match="is not a name"):
        managing.add_user(index, name, ["reader"], b"")


def test_what_else_cannot_be(index: Index) -> None:
    with pytest.raises(BadUsage, match="'cook' is no role"):
        managing.add_user(index, "carla", ["cook"], b"")
    with pytest.raises(BadUsage, match="a role is needed"):
        managing.add_user(index, "carla", [], b"")
    with pytest.raises(BadUsage, match="8 to 1024 bytes"):
        managing.add_user(index, "carla", ["reader"], b"short")
    with pytest.raises(BadUsage, match="there is a user anna"):
        managing.add_user(index, "anna", ["reader"], b"")
    with pytest.raises(BadUsage, match="there is no user nobody"):
        managing.edit_user(index, "nobody", roles=["reader"])
    with pytest.raises(BadUsage, match="there is no user nobody"):
        managing.remove(index, USER, "nobody")


def test_only_what_is_given_is_changed(tmp_path: Path) -> None:
    with open_index("sqlite:///index.db", base=tmp_path) as index:
        managing.add_user(index, "anna", ["reader"], PASSCODE)
        before = index.accounts.get(USER, "anna")
        managing.edit_user(index, "anna", roles=["admin", "reader"])
        after = index.accounts.get(USER, "anna")
        assert replace(before, roles=("admin", "reader"), changed_at=after.changed_at) == after


def test_an_issuer_that_is_gone_vouches_for_nobody() -> None:
    user, there = User("berta@hospital", ("reader",)), SimpleNamespace(issuers=(SimpleNamespace(name="hospital"),))
    check_still_demanded(there, Identification("required"), user)
    with pytest.raises(IdentityRefused, match=r"\[issuer hospital\] is no longer configured"):
        check_still_demanded(CONFIG, Identification("required"), user)
