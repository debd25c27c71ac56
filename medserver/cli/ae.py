"""``medserver ae``: who is known to the node. A running node takes over what is changed in config.ini."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medserver import lock
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import exit_code
from medserver.config import IDENTITY_NONE, SERVICES, Config, Remote
from medserver.config.addresses import plain_address
from medserver.config.edit import add_remote, change_remote, remove_remote
from medserver.config.options import COMPRESSIONS
from medserver.config.security import LEVELS, REQUIRED
from medserver.config.values import parse_ae_title
from medserver.dicom.syntax_names import short_name
from medserver.errors import BadUsage, MedserverError, UnknownRemote
from medserver.log import WHOLE_LENGTH_MAX, escaped

if TYPE_CHECKING:
    from medserver.index import UnknownCaller
    from medserver.tls.certificate import Certificate

UNKNOWN = "unknown caller"
"""The reason that says nothing: that of `medserver.wire.negotiation`, which takes a while to load."""

USERS_SHOWN_FOR = timedelta(days=7)
"""How long who was rejected for its user is listed: whether it would be let in now cannot be told."""

DEFAULT_ALLOW = "echo, store"

allow_option = click.option(
    "--allow",
    metavar="SERVICES",
    default=DEFAULT_ALLOW,
    show_default=True,
    help=f"The services that it may use, of: {', '.join(SERVICES)}. Empty for an AE that is only sent to.",
)


@click.group()
def command() -> None:
    """List and edit the AEs that the node knows."""


@command.command("list")
@json_option
@pass_invocation
def list_remotes(invocation: Invocation, as_json: bool) -> None:
    """List the AEs of the configuration."""
    remotes = invocation.config.remotes
    if as_json:
        echo_json([_described(remote) for remote in remotes])
        return
    header = ("NAME", "AE TITLE", "ADDRESS", "CALLS FROM", "ALLOW")
    echo_table(header, [tuple(_cells(remote)) for remote in remotes])


@command.command()
@click.argument("name")
@click.option("--address", metavar="HOST:PORT", help="Where it is called. A host alone if it only calls us.")
@click.option("--sources", metavar="NETWORKS", help="Where it calls from, if not from its address.")
@click.option("--ae-title", help="Its AE title, if it is not NAME.")
@allow_option
@click.option("--private-sop-classes", metavar="UIDS", help="Private storage SOP classes that it may send.")
@click.option(
    "--ingest-transfer-syntax", type=click.Choice(COMPRESSIONS), help="What the images that it sends are compressed to."
)
@click.option("--transfer-syntaxes", metavar="NAMES", help="What it is sent, the best first, such as j2k,explicit.")
@click.option("--tls", type=click.Choice(LEVELS), help="Whether it calls over TLS; required: it is also called so.")
@click.option(
    "--certificates", metavar="NAMES", help="By which certificates it is recognised: sha256:..., cn:NAME, dns:NAME."
)
@click.option("--must-commit", is_flag=True, help="What a rule sends it is delivered when it has committed to keep it.")
@pass_invocation
def add(
    invocation: Invocation,
    name: str,
    address: str | None,
    sources: str | None,
    ae_title: str | None,
    allow: str,
    private_sop_classes: str | None,
    ingest_transfer_syntax: str | None,
    transfer_syntaxes: str | None,
    tls: str | None,
    certificates: str | None,
    must_commit: bool,
) -> None:
    """Add the AE NAME to the configuration.

    For example: medserver ae add CT1 --address 10.0.0.5:104 --allow echo,store
    """
    options = {
        "ae_title": ae_title,
        "address": address,
        "sources": sources,
        "allow": allow,
        "private_sop_classes": private_sop_classes,
        "ingest_transfer_syntax": ingest_transfer_syntax,
        "transfer_syntaxes": transfer_syntaxes,
        "must_commit": "yes" if must_commit else None,
        "tls": tls or (REQUIRED if certificates is not None else None),
        "certificates": certificates,
    }
    given = {option: text for option, text in options.items() if text is not None}
    remote = add_remote(invocation.config_path, name, given)
    click.echo(f"added {_summary(remote)}")


@command.command()
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, name: str) -> None:
    """Remove the AE NAME from the configuration."""
    remote = remove_remote(invocation.config_path, name)
    click.echo(f"removed {_summary(remote)}")


@command.command()
@json_option
@pass_invocation
def pending(invocation: Invocation, as_json: bool) -> None:
    """List AEs that were rejected: unknown ones, and what does not prove that it is the known one, or its user.

    Below each stands the command that lets it in: one that is known gets its certificate added to those of its entry.
    Who was rejected for its user is listed for a week.
    """
    callers = _unknown_callers(invocation, with_users=True)
    if as_json:
        echo_json([_described_caller(caller) for caller in callers])
        return
    if not callers:
        click.echo("no unknown AE was rejected")
    for caller in callers:
        calling, called = _shown(caller.calling_ae_title), _shown(caller.called_ae_title)
        last_seen = f"{caller.last_seen_at:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(
            f"{last_seen}  {calling} from {caller.address} called {called}, attempts: {caller.attempts}"
        )
        for line in _proof_lines(caller):
            click.echo(f"    {line}")
        click.echo(f"    {_approval(invocation, caller)}")


@command.command()
@click.argument("ae_title")
@click.option(
    "--from", "address", metavar="ADDRESS", help="The address it called from, if there are several."
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port where it can be called, if it can.")
@click.option("--name", help="Name of the entry. Default: the AE title.")
@click.option(
    "--certificate",
    "fingerprint",
    metavar="FINGERPRINT",
    help="The certificate that it has shown over TLS, sha256:..., by which it is recognised from then on. Compare it "
    "with what the AE itself says before.",
)
@allow_option
@pass_invocation
def approve(
    invocation: Invocation,
    ae_title: str,
    address: str | None,
    port: int | None,
    name: str | None,
    fingerprint: str | None,
    allow: str,
) -> None:
    """Let an AE in that was rejected (see `ae pending`).

    An unknown one gets an entry. To the entry of a known one the certificate is added, beside those that it has.
    """
    caller = _caller(_unknown_callers(invocation), ae_title, address, fingerprint)
    ae_title = _approvable_ae_title(caller)
    known = invocation.config.remotes_for(ae_title, caller.address)
    if known is not None:
        _pin(invocation, known, caller)
        return
    name = name if name is not None else _name_for(ae_title)
    options = {} if name == ae_title else {"ae_title": ae_title}
    source = str(plain_address(caller.address))
    if port is None:
        options["sources"] = source
    else:
        options["address"] = f"[{source}]:{port}" if ":" in source else f"{source}:{port}"
    if caller.fingerprint:
        options |= {"tls": REQUIRED, "certificates": caller.fingerprint}
    remote = add_remote(invocation.config_path, name, {**options, "allow": allow})
    click.echo(f"added {_summary(remote)}")
    node_ae_title = invocation.config.node.ae_title
    if caller.called_ae_title != node_ae_title:
        click.echo(
            f"it called {escaped(caller.called_ae_title)}, but the AE title of this node is {node_ae_title}"
        )


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@click.pass_context
def echo(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Send a C-ECHO to the AEs of the configuration: to each NAME, or to all that have a port."""
    config = ctx.find_object(Invocation).config
    answers = []
    code = 0
    for remote in _destinations(config, names):
        started_at = time.monotonic()
        problem = None
        try:
            _verify(config, remote)
        except MedserverError as error:
            problem = str(error)
            code = code or exit_code(error)
        duration_ms = (time.monotonic() - started_at) * 1000
        answers.append(
            {"name": remote.name, "ok": problem is None, "problem": problem, "duration_ms": duration_ms}
        )
        if not as_json:
            click.echo(
                f"{remote.name}: {f'{duration_ms:.0f} ms' if problem is None else escaped(problem, 500)}"
            )
    if as_json:
        echo_json(answers)
    ctx.exit(code)


def _destinations(config: Config, names: tuple[str, ...]) -> list[Remote]:
    """Return the entries of these names, or all that can be called."""
    if not names:
        return [remote for remote in config.remotes if remote.is_destination]
    remotes = []
    for name in names:
        remote = config.remote_by_name(name)
        if remote is None:
            raise UnknownRemote(f"no entry [ae {escaped(name)}] in the configuration")
        if not remote.is_destination:
            raise BadUsage(f"[ae {name}] has no address with a port: it only calls us")
        remotes.append(remote)
    return remotes


def _verify(config: Config, remote: Remote) -> None:
    """Send one C-ECHO (PS3.4 A.4)."""
    from medserver.scu import verification
    from medserver.wire.limits import WireLimits
    from medserver.wire.requestor import Address, associate

    address, limits = Address.of(remote), WireLimits.from_options(config.limits)
    association = associate(address, [verification.PROPOSAL], config.node.ae_title, limits)
    try:
        response = verification.echo(association)
    finally:
        association.release()
    if response.code != 0x0000:
        raise MedserverError(f"{address} answered status {response.code:04X} {escaped(response.comment)}")


def _unknown_callers(invocation: Invocation, *, with_users: bool = False) -> list[UnknownCaller]:
    """Return who was refused and is not known to the configuration since; if wanted, also for its user lately."""
    from medserver.index import open_index

    config = invocation.config
    with lock.shared(config.node.data), open_index(config.index.url, base=config.node.data) as index:
        callers, now = list(index.unknown_callers()), index.clock()
    return [
        caller for caller in callers
        if not _is_recognised(config, caller) or (with_users and _has_wrong_user(config, caller, now))
    ]  # fmt: skip


def _has_wrong_user(config: Config, caller: UnknownCaller, now: datetime) -> bool:
    """Tell whether a caller that is recognised was refused for its user, not long ago."""
    remote = config.remotes_for(caller.calling_ae_title, caller.address)
    asks = remote is not None and remote.identification.demanded != IDENTITY_NONE
    return asks and caller.reason not in ("", UNKNOWN) and now - caller.last_seen_at < USERS_SHOWN_FOR


def _is_recognised(config: Config, caller: UnknownCaller) -> bool:
    """Tell whether a caller would be let in now."""
    remote = config.remotes_for(caller.calling_ae_title, caller.address)
    if remote is None or (caller.fingerprint and caller.certificate is None):
        return False
    from medserver.tls.judgement import Presented, judge

    presented = None if caller.certificate is None else Presented.of_pem(caller.certificate)
    return not judge(remote.security, presented).problem


def _pin(invocation: Invocation, remote: Remote, caller: UnknownCaller) -> None:
    """Add the certificate of a caller to the entry that it claims to be."""
    if not caller.fingerprint:
        raise BadUsage(f"[ae {remote.name}] demands TLS, and it called in the clear: see 'tls' of its entry")
    security = remote.security
    if caller.fingerprint in security.pins:
        raise BadUsage(f"[ae {remote.name}] has this certificate already: {caller.reason}")
    given = [*sorted(security.names), *sorted(security.pins), caller.fingerprint]
    options = {"certificates": ", ".join(given)}
    if not security.is_accepted:
        options["tls"] = REQUIRED
    changed = change_remote(invocation.config_path, remote.name, options)
    click.echo(f"changed {_summary(changed)}")


def _caller(
    callers: list[UnknownCaller], ae_title: str, address: str | None, fingerprint: str | None
) -> UnknownCaller:
    """Return the one caller that is meant."""
    found = [caller for caller in callers if caller.calling_ae_title == ae_title]
    found = [caller for caller in found if address in (None, caller.address)]
    if not found:
        raise BadUsage(f"no AE {escaped(ae_title)} was rejected (see `medserver ae pending`)")
    addresses = sorted({caller.address for caller in found})
    if len(addresses) > 1:
        raise BadUsage(f"{escaped(ae_title)} called from {', '.join(addresses)}: choose one with --from")
    shown = [caller for caller in found if caller.fingerprint == (fingerprint or "").lower()]
    if not shown and fingerprint is not None:
        raise BadUsage(f"{escaped(ae_title)} has not shown this certificate (see `medserver ae pending`)")
    if not shown:
        raise BadUsage(
            f"{escaped(ae_title)} called over TLS: compare the certificate with what the AE says itself, and choose it "
            f"with --certificate {found[0].fingerprint}"
        )
    return shown[0]


def _approvable_ae_title(caller: UnknownCaller) -> str:
    """Return the AE title of a caller, which may have sent anything.

    Raises
    ------
    BadUsage
        If it is not an AE title.
    """
    try:
        return parse_ae_title(caller.calling_ae_title)
    except ValueError as error:
        raise BadUsage(str(error)) from None


def _name_for(ae_title: str) -> str:
    """Return a name of an entry that is as near to the AE title as can be."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", ae_title).lstrip(".-") or "AE"


def _shown(ae_title: str) -> str:
    """Return an AE title for people; a blank one names no application (PS3.8 9.3.2)."""
    return escaped(ae_title) or "(no AE title)"


def _proof_lines(caller: UnknownCaller) -> Iterator[str]:
    """Yield why a caller was rejected, where it is not simply unknown, and what certificate it has shown."""
    if caller.reason and caller.reason != UNKNOWN:
        yield escaped(caller.reason, WHOLE_LENGTH_MAX)
    if caller.fingerprint:
        yield f"certificate {caller.fingerprint}"
    shown = _shown_certificate(caller)
    if shown is not None:
        subject, issuer = escaped(shown.subject, WHOLE_LENGTH_MAX), escaped(shown.issuer, WHOLE_LENGTH_MAX)
        yield f"of {subject or '(nobody)'}, issued by {'itself' if shown.is_self_signed else issuer or '(nobody)'}"
        yield f"valid from {shown.not_before:%Y-%m-%d} to {shown.not_after:%Y-%m-%d}"


def _shown_certificate(caller: UnknownCaller) -> Certificate | None:
    """Return what the certificate of a caller says; None in the clear, or where it was not kept."""
    if caller.certificate is None:
        return None
    from medserver.tls.judgement import Presented

    return Presented.of_pem(caller.certificate).certificate


def _approval(invocation: Invocation, caller: UnknownCaller) -> str:
    """Return the command that lets a caller in, safe to paste into a shell whatever the caller is called."""
    try:
        ae_title = _approvable_ae_title(caller)
    except BadUsage as error:
        return f"; {error}"
    config_path = invocation.config_path
    known = invocation.config.remotes_for(ae_title, caller.address)
    if known is not None and (not caller.fingerprint or caller.fingerprint in known.security.pins):
        is_user = known.identification.demanded != IDENTITY_NONE
        return f"; it calls as [ae {known.name}]{' (its users: medserver user list)' if is_user else ''}"
    words = ["medserver"]
    if config_path != Path("config.ini"):
        words += ["--config", str(config_path)]
    words += [
        "ae",
        "approve",
        f"--from={caller.address}",
        *([f"--certificate={caller.fingerprint}"] if caller.fingerprint else ()),
        *([f"--allow={DEFAULT_ALLOW.replace(' ', '')}"] if known is None else ()),
        "--",
        ae_title,
    ]
    if not ae_title.startswith("-"):
        words.remove("--")
    return shlex.join(words)


def _address(remote: Remote) -> str:
    """Return where an AE is called, ``-`` if nowhere."""
    if remote.host is None:
        return "-"
    host = f"[{remote.host}]" if ":" in remote.host else remote.host
    return host if remote.port is None else f"{host}:{remote.port}"


def _sources(remote: Remote) -> list[str]:
    """Return where an AE calls from: networks, or the name of its host."""
    if remote.source_host_name is not None:
        return [remote.source_host_name]
    return [
        str(network.network_address) if network.num_addresses == 1 else str(network)
        for network in remote.sources
    ]


def _allowed(remote: Remote) -> list[str]:
    """Return the services that an AE may use, in the order of the table."""
    return [service for service in SERVICES if remote.permits(service)]


def _cells(remote: Remote) -> list[str]:
    sources, allowed = ", ".join(_sources(remote)), ", ".join(_allowed(remote))
    return [remote.name, remote.ae_title, _address(remote), sources, allowed or "-"]


def _summary(remote: Remote) -> str:
    """Return an entry in one line."""
    allowed = ", ".join(_allowed(remote)) or "nothing"
    return (
        f"[ae {remote.name}]: AE title {remote.ae_title}, address {_address(remote)}, "
        f"calls from {', '.join(_sources(remote))}, may use {allowed}{_secured(remote)}"
    )


def _secured(remote: Remote) -> str:
    """Return how an entry is secured, for its summary; nothing if it is not."""
    security = remote.security
    if not security.is_accepted:
        return ""
    by = [*sorted(security.names), *sorted(security.pins)] or ["those of its CA"]
    return f", TLS {security.level}, certificates {', '.join(by)}"


def _described(remote: Remote) -> dict[str, object]:
    """Return an entry for JSON."""
    return {
        "name": remote.name,
        "ae_title": remote.ae_title,
        "host": remote.host,
        "port": remote.port,
        "sources": _sources(remote),
        "allow": _allowed(remote),
        "tls": remote.security.level,
        "certificates": [*sorted(remote.security.names), *sorted(remote.security.pins)],
        "private_sop_classes": list(remote.private_sop_classes),
        "transfer_syntaxes": [short_name(uid) for uid in remote.transfer_syntaxes],
    }


def _described_caller(caller: UnknownCaller) -> dict[str, object]:
    """Return a caller for JSON."""
    return {
        "calling_ae_title": caller.calling_ae_title,
        "called_ae_title": caller.called_ae_title,
        "address": caller.address,
        "attempts": caller.attempts,
        "first_seen_at": caller.first_seen_at.isoformat(),
        "last_seen_at": caller.last_seen_at.isoformat(),
        "reason": caller.reason,
        "certificate": _described_certificate(caller),
    }


def _described_certificate(caller: UnknownCaller) -> dict[str, object] | None:
    """Return the certificate that a caller has shown, for JSON."""
    if not caller.fingerprint:
        return None
    shown = _shown_certificate(caller)
    described: dict[str, object] = {"fingerprint": caller.fingerprint}
    if shown is not None:
        described |= {"subject": shown.subject, "issuer": shown.issuer}
        described |= {"not_before": shown.not_before.isoformat(), "not_after": shown.not_after.isoformat()}
    return described
