"""``medserver tls``: the key and the certificate of the node, and those of others."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.config import Config, Remote
from medserver.config.edit import change_remote
from medserver.config.security import REQUIRED
from medserver.errors import BadUsage, UnknownRemote
from medserver.log import WHOLE_LENGTH_MAX, escaped

if TYPE_CHECKING:
    from medserver.tls.certificate import Certificate

DIRECTORY = "tls"
KEY_KINDS = ("rsa3072", "rsa2048", "p256")

host_option = click.option(
    "--host", "hosts", metavar="NAME", multiple=True, help="A name or address of the node; else that of the machine."
)


@click.group()
def command() -> None:
    """Make and show certificates; say whose are believed."""


@command.command()
@host_option
@click.option("--days", type=click.IntRange(1, 3660), default=730, show_default=True, help="How long it is valid.")
@click.option("--key", "kind", type=click.Choice(KEY_KINDS), default="rsa3072", show_default=True, help="The new key.")
@click.option("--replace", is_flag=True, help="Replace the certificate that is there; the key stays.")
@pass_invocation
def new(invocation: Invocation, hosts: tuple[str, ...], days: int, kind: str, replace: bool) -> None:
    """Make a private key, if there is none, and a certificate that it has signed itself.

    Such a certificate is recognised by its fingerprint, which is that of the key: it stays when the certificate is
    replaced by another one, or by one of a CA (see `tls csr`).
    """
    from medserver.tls import keys
    from medserver.tls.certificate import certificate_in

    config = invocation.config
    certificate_path, key_path = _paths(config)
    if certificate_path.exists() and not replace:
        raise BadUsage(f"{certificate_path} exists: add --replace to make another one for the same key")
    key = keys.load_key(key_path) if key_path.exists() else keys.make_key(key_path, kind)
    content = keys.self_signed(key, config.node.ae_title, hosts or (socket.gethostname(),), days)
    keys.write_new(certificate_path, content, keys.PUBLIC, replaces=replace)
    _echo_certificate(certificate_in(certificate_path), f"certificate {certificate_path}, key {key_path}")
    if config.tls.certificate is None:
        data = config.node.data
        click.echo("to use it, write to the configuration:")
        click.echo("[tls]")
        click.echo(f"certificate = {certificate_path.relative_to(data)}")
        click.echo(f"key = {key_path.relative_to(data)}")


@command.command()
@host_option
@click.option("--key", "kind", type=click.Choice(KEY_KINDS), default="rsa3072", show_default=True, help="The new key.")
@pass_invocation
def csr(invocation: Invocation, hosts: tuple[str, ...], kind: str) -> None:
    """Print a request to a CA to sign the key of the node (PKCS #10); a key is made if there is none."""
    from medserver.tls import keys

    config = invocation.config
    _, key_path = _paths(config)
    key = keys.load_key(key_path) if key_path.exists() else keys.make_key(key_path, kind)
    click.echo(keys.request(key, config.node.ae_title, hosts or (socket.gethostname(),)).decode("ascii"), nl=False)


@command.command()
@click.argument("name", required=False)
@json_option
@pass_invocation
def show(invocation: Invocation, name: str | None, as_json: bool) -> None:
    """Show the certificate of the node, or the one that the AE NAME shows when it is called."""
    from medserver.tls.certificate import certificate_in

    config = invocation.config
    if name is None:
        certificate = certificate_in(_paths(config)[0])
    else:
        certificate = _shown_by(config, _destination(config, name))
    if as_json:
        echo_json(_described(certificate))
    else:
        _echo_certificate(certificate)


@command.command()
@click.argument("name")
@click.option(
    "--certificate", "fingerprint", metavar="FINGERPRINT", help="The one that it is to show, as it says itself."
)
@pass_invocation
def trust(invocation: Invocation, name: str, fingerprint: str | None) -> None:
    """Call the AE NAME, and pin the certificate that it shows: from then on it is called over TLS, and must show it.

    Without --certificate the fingerprint is shown, and nothing is changed.
    """
    config = invocation.config
    remote = _destination(config, name)
    certificate = _shown_by(config, remote)
    if fingerprint is None:
        _echo_certificate(certificate)
        click.echo(f"to pin it: medserver tls trust {name} --certificate {certificate.fingerprint}")
        return
    if fingerprint.lower() != certificate.fingerprint:
        raise BadUsage(f"[ae {name}] shows another certificate: {certificate.fingerprint}")
    pins = remote.security.pins | {certificate.fingerprint}
    certificates = ", ".join([*sorted(remote.security.names), *sorted(pins)])
    changed = change_remote(invocation.config_path, name, {"certificates": certificates, "tls": REQUIRED})
    click.echo(f"[ae {changed.name}]: TLS required, certificates {certificates}")


@command.command()
@click.option("--within", metavar="DURATION", help="Default: [tls] expiry_warning.")
@json_option
@click.pass_context
def expiry(ctx: click.Context, within: str | None, as_json: bool) -> None:
    """List when certificates and CRLs expire; the exit code is 1 if one does soon."""
    from medserver.config.values import duration_or_never
    from medserver.tls.expiry import expiries

    config = ctx.find_object(Invocation).config
    try:
        within_s = config.tls.expiry_warning if within is None else duration_or_never(0, 10**9).parse(within)
    except ValueError as error:
        raise BadUsage(f"--within: {error}") from None
    now, found = datetime.now(UTC), expiries(config)
    due = [one for one in found if one.is_due(now, within_s)]
    if as_json:
        echo_json(
            [
                {
                    "what": one.what,
                    "path": str(one.path),
                    "expires_at": one.expires_at and one.expires_at.isoformat(),
                    "problem": one.problem or None,
                    "is_due": one in due,
                }
                for one in found
            ]
        )
    elif found:
        rows = [(escaped(one.what, WHOLE_LENGTH_MAX), one.in_words(now), str(one.path)) for one in found]
        echo_table(("WHAT", "WHEN", "FILE"), rows)
    else:
        click.echo("no certificates")
    ctx.exit(1 if due else 0)


def _paths(config: Config) -> tuple[Path, Path]:
    """Return where certificate and key of the node are, or are put."""
    place = config.node.data / DIRECTORY
    return config.tls.certificate or place / "medserver.pem", config.tls.key or place / "medserver.key"


def _destination(config: Config, name: str) -> Remote:
    """Return the entry of this name, which has an address with a port."""
    remote = config.remote_by_name(name)
    if remote is None:
        raise UnknownRemote(f"no entry [ae {escaped(name)}] in the configuration")
    if not remote.is_destination:
        raise BadUsage(f"[ae {name}] has no address with a port: it only calls us")
    return remote


def _shown_by(config: Config, remote: Remote) -> Certificate:
    """Return the certificate that an AE shows when it is called."""
    from medserver.wire.tls_transport import shown_by

    own = remote.security
    return shown_by(remote.host, remote.port, own, config.limits.connection_timeout_s).certificate


def _echo_certificate(certificate: Certificate, *places: str) -> None:
    for place in places:
        click.echo(place)
    click.echo(f"fingerprint  {certificate.fingerprint}")
    click.echo(f"subject      {escaped(certificate.subject, WHOLE_LENGTH_MAX)}")
    issuer = "itself" if certificate.is_self_signed else escaped(certificate.issuer, WHOLE_LENGTH_MAX)
    click.echo(f"issuer       {issuer}")
    click.echo(f"names        {escaped(', '.join(sorted(certificate.names)), WHOLE_LENGTH_MAX)}")
    click.echo(f"valid        {certificate.not_before:%Y-%m-%d %H:%M} to {certificate.not_after:%Y-%m-%d %H:%M} UTC")


def _described(certificate: Certificate) -> dict[str, object]:
    return {
        "fingerprint": certificate.fingerprint,
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": certificate.serial_number,
        "names": sorted(certificate.names),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
    }
