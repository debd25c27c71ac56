"""Accounts: one of each kind and name, changed by what they are, found by what is kept of their secrets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from medserver.accounts.authentication import verify_passcode
from medserver.errors import IdentityRefused
from medserver.index import Index
from medserver.index.accounts.records import TOKEN, USER, NewAccount

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def test_one_of_each_kind_and_name(index: Index) -> None:
    anna = NewAccount(USER, "anna", ("reader", "auditor"), "kept", LATER)
    assert index.accounts.add(anna)
    assert not index.accounts.add(replace(anna, roles=("admin",)))
    assert index.accounts.add(NewAccount(TOKEN, "anna", ("operator",), "digest"))
    found = index.accounts.get(USER, "anna")
    assert (found.roles, found.secret, found.expires_at) == (("reader", "auditor"), "kept", LATER)
    assert not found.is_disabled and found.created_at == found.changed_at
    assert index.accounts.get(USER, "Anna") is None
    assert [each.name for each in index.accounts.all(USER)] == ["anna"]


def test_a_change_is_made_of_what_is_there(index: Index) -> None:
    index.accounts.add(NewAccount(USER, "anna", ("reader",), "kept"))
    before = index.accounts.change(USER, "anna", lambda account: replace(account, is_disabled=True))
    after = index.accounts.get(USER, "anna")
    assert not before.is_disabled and after.is_disabled
    assert (after.secret, after.roles, after.expires_at) == ("kept", ("reader",), None)
    assert index.accounts.change(USER, "nobody", lambda account: account) is None


def test_a_token_is_found_by_what_is_kept_of_it(index: Index) -> None:
    index.accounts.add(NewAccount(TOKEN, "dashboard", ("auditor",), "digest"))
    index.accounts.add(NewAccount(USER, "anna", ("admin",), "digest"))
    index.accounts.add(NewAccount(USER, "bare", ("admin",)))
    assert index.accounts.with_secret(TOKEN, "digest").name == "dashboard"
    assert index.accounts.with_secret(TOKEN, "other") is None
    assert index.accounts.with_secret(USER, "") is None


def test_removed(index: Index) -> None:
    index.accounts.add(NewAccount(USER, "anna", ("reader",)))
    assert index.accounts.remove(USER, "anna") and not index.accounts.remove(USER, "anna")
    assert index.accounts.get(USER, "anna") is None


def test_a_name_that_the_database_cannot_hold_is_that_of_nobody(index: Index) -> None:
    with pytest.raises(IdentityRefused):
        verify_passcode(index, "an\0na", b"correct horse")


def test_when_an_account_is_of_use(index: Index) -> None:
    index.accounts.add(NewAccount(USER, "anna", ("reader",), "", LATER))
    anna, moment = index.accounts.get(USER, "anna"), timedelta(microseconds=1)
    assert anna.is_usable(LATER - moment) and not anna.is_usable(LATER)
    assert not replace(anna, is_disabled=True).is_usable(LATER - moment)
    assert replace(anna, expires_at=None).is_usable(LATER)
