"""What roles include, and what is left of it by what an entry allows."""

from __future__ import annotations

from itertools import combinations

from medserver.config import ROLES, SERVICES, Remote
from medserver.identity.principal import User, principal_of
from medserver.identity.rights import RIGHTS, rights_of

INCLUDED = {
    "admin": set(SERVICES),
    "operator": set(SERVICES),
    "reader": {"echo", "find", "move", "get"},
    "auditor": {"echo"},
}


def test_what_each_role_includes() -> None:
    assert {role: rights_of([role]) for role in ROLES} == INCLUDED
    assert rights_of([]) == rights_of(["nobody"]) == set()
    assert rights_of(["reader", "auditor"]) == INCLUDED["reader"]


def test_a_user_never_has_more_than_the_ae() -> None:
    """Every set of rights with every set of roles."""
    for count in range(len(SERVICES) + 1):
        for allow in combinations(SERVICES, count):
            remote = Remote("WS", "WS", None, None, (), frozenset(allow))
            assert principal_of(remote, "10.0.0.5").rights == set(allow)
            for role in ROLES:
                principal = principal_of(remote, "10.0.0.5", User("anna", (role,)))
                assert principal.rights == set(allow) & INCLUDED[role]
                assert all(principal.permits(one) == (one in principal.rights) for one in SERVICES)


def test_every_service_is_a_right() -> None:
    assert tuple(right.name for right in RIGHTS) == SERVICES
