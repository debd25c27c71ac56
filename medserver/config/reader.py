"""From texts to a `Config`: every mistake is found before any is reported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medserver.config.addresses import host_network, is_ip_address, parse_host_and_port, plain_address
from medserver.config.command import MEANING_LENGTH_MAX, NAME, CommandType
from medserver.config.options import (
    DEFAULT_VOLUME_NAME,
    DEFAULT_VOLUME_PATH,
    KEYED_SECTIONS,
    NAMED_SECTIONS,
    SECTIONS,
    Option,
    options_of,
)
from medserver.config.issuer import issuer_of
from medserver.config.poll import Poll
from medserver.config.printer import FORMAT, NEEDED, printer_of
from medserver.config.processing import SENDER, Processing, is_parameter
from medserver.config.records import (
    AuditOptions,
    BackupOptions,
    Config,
    IndexOptions,
    JobOptions,
    LimitOptions,
    LogOptions,
    MailOptions,
    NodeOptions,
    StoreOptions,
    VolumeOptions,
    WorkitemOptions,
)
from medserver.config.remote import Identification, Remote
from medserver.config.resolver import HostResolver
from medserver.config.retention import ARCHIVED, COMMITTED, DELETE, DELIVERED, KEEP, Retention, Watermark
from medserver.config.route import CALLING_AE_TITLE, Changes, Route
from medserver.config.security import PIN_PREFIX, Security, TLSOptions
from medserver.config.settings import DEFAULT_ORIGIN, Setting, Settings, collect_settings
from medserver.config.web import WebOptions
from medserver.config.values import closest, parse_ae_title
from medserver.dicom.conditions import Condition
from medserver.errors import ConfigError

_OF_BUCKETS = ("endpoint", "region", "credentials")

# A name is typed on command lines, where `AE@host:port` means something else, and is written to log lines.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}")


@dataclass(frozen=True)
class Reading:
    """A configuration, and every setting that made it (defaults too) in the order of the table."""

    config: Config
    settings: tuple[Setting, ...]


def read_config(
    text: str,
    *,
    base: Path,
    file_name: str = "config.ini",
    environ: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
    resolver: HostResolver | None = None,
) -> Reading:
    """Read a configuration.

    Parameters
    ----------
    text : str
        The content of config.ini.
    base : Path
        The directory where a relative `data` starts: that of the file.
    file_name : str
        Name of the file, for messages.
    environ : mapping of str to str
        Environment variables.
    overrides : iterable of str
        Texts of the form ``section.option=value``.
    resolver : HostResolver or None
        Remembers the addresses of host names; None makes a new one.

    Raises
    ------
    ConfigError
        With every mistake.
    """
    settings = collect_settings(text, file_name, environ, overrides)
    return _Reader(settings, base).read(resolver or HostResolver())


class _Reader:
    """One reading: the settings, the values read so far and the mistakes found so far."""

    def __init__(self, settings: Settings, base: Path) -> None:
        self._settings = settings
        self._base = base
        self._problems = list(settings.problems)
        self._used: list[Setting] = []

    def read(self, resolver: HostResolver) -> Reading:
        """Return the configuration, or raise ConfigError with all that is wrong."""
        for section in self._settings.sections:
            self._check_section(section)
        single = {
            section: self._values(section, section) for section in SECTIONS if section not in NAMED_SECTIONS
        }
        volumes = self._volumes()
        self._check_copies(single["store"]["copies_before_success"], volumes)
        self._check_backup_volume(single["backup"]["volume"], [name for name, _ in volumes])
        data = Path(self._base, single["node"]["data"] or "").absolute()
        tls = TLSOptions(**_below(single["tls"], data, ("certificate", "key", "ca", "crl")))
        self._check_tls(single["node"], tls)
        remotes = [self._remote(name, tls, data) for name in self._names("ae")]
        routes = [self._route(name) for name in self._names("route")]
        processings = [self._processing(name) for name in self._names("processing")]
        types = [self._type(name) for name in self._names("type")]
        printers = {name: self._printer(name) for name in self._names("printer")}
        polls = [self._poll(name) for name in self._names("poll")]
        issuers = {name: self._values("issuer", f"issuer {name}") for name in self._names("issuer")}
        retentions = [self._retention(name, volumes, remotes, routes) for name in self._names("retention")]
        self._check_destinations([remote for remote in remotes if remote is not None])
        self._check_told(single["workitems"]["status_to"] or ())
        self._check_printers(single["node"]["ae_title"], printers)
        if (single["web"]["certificate"] is None) != (single["web"]["key"] is None):
            self._problems.append("[web] certificate and key go together")
        if self._problems:
            raise ConfigError(self._problems)
        config = Config(
            node=NodeOptions(**{**single["node"], "data": data}),
            index=IndexOptions(**single["index"]),
            jobs=JobOptions(**single["jobs"]),
            store=StoreOptions(**single["store"]),
            volumes=tuple(
                VolumeOptions(name, **_below(values, data, ("path", "credentials"))) for name, values in volumes
            ),
            limits=LimitOptions(**single["limits"]),
            log=LogOptions(**single["log"]),
            mail=MailOptions(**single["mail"]),
            tls=tls,
            web=WebOptions(**_below(single["web"], data, ("certificate", "key"))),
            backup=BackupOptions(**single["backup"]),
            workitems=WorkitemOptions(**single["workitems"]),
            audit=AuditOptions(**_below(single["audit"], data, ("ca", "certificate", "key"))),
            remotes=tuple(remote for remote in remotes if remote is not None),
            routes=tuple(route for route in routes if route is not None),
            processings=tuple(rule for rule in processings if rule is not None),
            types=tuple(one for one in types if one is not None),
            printers=tuple(printer_of(name, values, data) for name, values in printers.items()),
            polls=tuple(poll for poll in polls if poll is not None),
            retentions=tuple(rule for rule in retentions if rule is not None),
            issuers=tuple(issuer_of(name, values, data) for name, values in issuers.items()),
            resolver=resolver,
        )
        return Reading(config, tuple(self._used))

    def _names(self, kind: str) -> list[str]:
        """Return the names of all sections of a kind, in the order of the file."""
        prefix = f"{kind} "
        return [
            section.removeprefix(prefix) for section in self._settings.sections if section.startswith(prefix)
        ]

    def _check_section(self, section: str) -> None:
        """Find unknown sections, sections without a name or with a strange one, and unknown options."""
        kind, _, name = section.partition(" ")
        origin = self._settings.origins[section]
        if kind not in SECTIONS or (name and kind not in NAMED_SECTIONS):
            self._problems.append(f"{origin}: no section [{section}]{closest(kind, SECTIONS)}")
            return
        if kind in NAMED_SECTIONS and _NAME.fullmatch(name) is None:
            form = f"[{kind} NAME], the name of letters, digits, '_', '-', '.' and spaces, 64 at most"
            self._problems.append(f"{origin}: [{section}] is not of the form {form}")
        valid = options_of(kind)
        for setting in self._settings.sections[section].values():
            is_named = kind in KEYED_SECTIONS and _keyword_of(kind, setting.option)
            if setting.option not in valid and not is_named and not is_parameter_of(kind, setting.option):
                message = f"no option '{setting.option}'{closest(setting.option, valid)}"
                self._problems.append(f"{setting.origin}: [{section}] {message}")

    def _values(self, kind: str, section: str) -> dict[str, Any]:
        """Return the values of one section, defaults included; None for what has none."""
        return {option.name: self._value(option, section) for option in options_of(kind).values()}

    def _value(self, option: Option, section: str) -> Any:
        """Return one value; None if there is none or it is wrong."""
        setting = self._settings.sections.get(section, {}).get(option.name)
        if setting is None and option.default is None:
            if option.required:
                origin = self._settings.origins[section]
                self._problems.append(f"{origin}: [{section}] {option.name} is missing")
            return None
        if setting is None:
            setting = Setting(section, option.name, option.default or "", DEFAULT_ORIGIN)
        self._used.append(setting)
        try:
            return option.type.parse(setting.text)
        except ValueError as error:
            message = " ".join(str(error).splitlines())
            self._problems.append(f"{setting.origin}: [{section}] {option.name}: {message}")
            return None

    def _volumes(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the volumes by name; without any section there is one."""
        if not self._names("volume"):
            self._settings.put(
                Setting(f"volume {DEFAULT_VOLUME_NAME}", "path", DEFAULT_VOLUME_PATH, DEFAULT_ORIGIN)
            )
        volumes = [(name, self._values("volume", f"volume {name}")) for name in self._names("volume")]
        places: dict[object, str] = {}
        for name, values in volumes:
            self._check_place(name, values)
            place = values["url"] or values["path"]
            if place is not None and places.setdefault(place, name) != name:
                self._problems.append(f"[volume {places[place]}], [volume {name}]: both lie in the same place")
        primaries = [name for name, values in volumes if values["role"] == "primary"]
        if len(primaries) != 1 and all(values["role"] for _, values in volumes):
            named = ", ".join(f"[volume {name}]" for name in primaries or self._names("volume"))
            wrong = "only one volume can be primary" if primaries else "one volume has to be primary"
            self._problems.append(f"{named}: {wrong}")
        return volumes

    def _check_place(self, name: str, values: dict[str, Any]) -> None:
        """Find a volume that lies nowhere or in two places, and what does not go with a directory or a bucket."""
        section = f"volume {name}"
        given = self._settings.sections[section]
        problems = []
        if ("path" in given) == ("url" in given):
            problems.append("path or url is missing" if "path" not in given else "path and url exclude each other")
        elif "url" in given and values["role"] == "primary":
            problems.append("url: the primary volume is a directory, with a path")
        elif "path" in given:
            problems += [f"{option}: only for a volume with a url" for option in _OF_BUCKETS if option in given]
        self._problems += [f"{self._settings.origins[section]}: [{section}] {problem}" for problem in problems]

    def _check_copies(self, copies: int | None, volumes: list[tuple[str, dict[str, Any]]]) -> None:
        """Find more copies demanded before success than there are volumes that get one at once."""
        possible = sum(values["role"] in ("primary", "replica") for _, values in volumes)
        if copies is not None and copies > max(possible, 1):
            self._problems.append(
                f"[store] copies_before_success: {copies} copies need as many volumes that are primary or replica, "
                f"there are {possible}"
            )

    def _check_backup_volume(self, name: str | None, volumes: list[str]) -> None:
        """Find backups that would go to a volume that does not exist."""
        if name not in (None, "auto") and name not in volumes:
            self._problems.append(f"[backup] volume: no volume '{name}'{closest(name, ('auto', *volumes))}")

    def _check_tls(self, node: Mapping[str, Any], tls: TLSOptions) -> None:
        """Find a node that listens nowhere, and TLS without a certificate and its key."""
        given = self._settings.sections.get("node", {}).get("port")
        if given is not None and given.text.lower() == "none" and node["tls_port"] is None:
            self._problems.append("[node] port, tls_port: both are none, nobody could call")
        if (tls.certificate is None) != (tls.key is None):
            self._problems.append("[tls] certificate and key: the one needs the other")
        elif node["tls_port"] is not None and tls.certificate is None:
            self._problems.append("[node] tls_port: [tls] certificate and key are missing; run: medserver tls new")

    def _security(self, name: str, values: Mapping[str, Any], tls: TLSOptions, data: Path) -> Security:
        """Return what of TLS an entry needs; [tls] fills in what it does not say."""
        given = values["certificates"] or ()
        pins = frozenset(word for word in given if word.startswith(PIN_PREFIX))
        names = frozenset(given) - pins
        paths = ("ca", "own_certificate", "own_key")
        own = _below({key: values[key] for key in paths}, data, paths)
        problem = ""
        by_host = tls.ca is not None and values["address"] is not None
        if values["tls"] in ("accepted", "required") and not (pins or names or own["ca"] or by_host):
            problem = "tls: by which certificate it is recognised is missing: certificates, or ca"
        elif names and not (own["ca"] or tls.ca):
            problem = "certificates: a name needs a CA that has signed the certificate: ca, or [tls] ca"
        elif (own["own_certificate"] is None) != (own["own_key"] is None):
            problem = "own_certificate and own_key: the one needs the other"
        if problem:
            section = f"ae {name}"
            self._problems.append(f"{self._settings.origins[section]}: [{section}] {problem}")
        return Security(
            values["tls"] or "no",
            pins,
            names,
            own["ca"] or tls.ca,
            own["ca"] is not None,
            tls.crl,
            own["own_certificate"] or tls.certificate,
            own["own_key"] or tls.key,
        )

    def _remote(self, name: str, tls: TLSOptions, data: Path) -> Remote | None:
        """Return one subscriber; None if its entry is wrong."""
        section = f"ae {name}"
        origin = self._settings.origins[section]
        problems_before = len(self._problems)
        values = self._values("ae", section)
        if values["ae_title"] is None and "ae_title" not in self._settings.sections[section]:
            values["ae_title"] = self._ae_title_from_name(section, name)
        host, port = values["address"] or (None, None)
        sources = values["sources"] or ()
        if host is not None and not sources and is_ip_address(host):
            sources = (host_network(plain_address(host)),)
        self._problems += [f"{origin}: [{section}] {problem}" for problem in _identity_problems(values)]
        security = self._security(name, values, tls, data)
        if len(self._problems) > problems_before:
            return None
        if host is None and not sources:
            self._problems.append(
                f"{origin}: [{section}] address or sources is needed: it could not call otherwise"
            )
            return None
        return Remote(
            name,
            values["ae_title"],
            host,
            port,
            sources,
            values["allow"],
            values["private_sop_classes"],
            values["transfer_syntaxes"],
            values["ingest_transfer_syntax"],
            values["must_commit"],
            values["send_associations"],
            values["send_rate_max_mb_per_s"],
            values["inform"],
            Identification(values["identity"], values["users"], values["user"], *_secrets(values, data)),
            security,
        )

    def _route(self, name: str) -> Route | None:
        """Return one rule; None if its entry is wrong."""
        section = f"route {name}"
        problems_before = len(self._problems)
        values = self._values("route", section)
        conditions = self._conditions(section)
        self._check_called(section, "to", values["to"] or ())
        given = self._settings.sections[section].values()
        parameters = [setting for setting in given if is_parameter_of("route", setting.option)]
        self._used += parameters
        self._problems += [
            f"{self._settings.origins[section]}: [{section}] {problem}"
            for problem in _printing_problems(values, [each.option for each in parameters], self._names("printer"))
        ]
        if len(self._problems) > problems_before:
            return None
        return Route(
            name,
            values["to"] or (),
            conditions,
            values["send"],
            values["transfer_syntaxes"],
            values["priority"],
            "series" if values["printer"] and "when" not in self._settings.sections[section] else values["when"],
            values["quiet"],
            values["complete_by"],
            values["hours"],
            Changes(values["set"] or {}, values["remove"] or (), values["map"] or {}),
            values["printer"] or "",
            tuple((setting.option, setting.text) for setting in parameters),
        )

    def _processing(self, name: str) -> Processing | None:
        """Return one rule by which images are processed; None if its entry is wrong."""
        section = f"processing {name}"
        problems_before = len(self._problems)
        values = self._values("processing", section)
        conditions = self._conditions(section)
        self._check_called(section, "to", [entry for entry in values["to"] or () if entry != SENDER])
        self._check_called(section, "delivered_to", values["delivered_to"] or ())
        given = self._settings.sections[section].values()
        parameters = [setting for setting in given if is_parameter_of("processing", setting.option)]
        self._used += parameters
        if len(self._problems) > problems_before:
            return None
        return Processing(
            name,
            values["type"],
            tuple((setting.option, setting.text) for setting in parameters),
            values["to"] or (),
            conditions,
            values["delivered_to"] or (),
            values["priority"],
            values["when"],
            values["quiet"],
            values["complete_by"],
            values["hours"],
            values["inform"],
        )

    def _type(self, name: str) -> CommandType | None:
        """Return one type of processing that an external program is; None if its entry is wrong."""
        section = f"type {name}"
        problems_before = len(self._problems)
        values = self._values("type", section)
        if len(self._problems) > problems_before:
            return None
        problems = list(_type_problems(name, values))
        if problems:
            self._problems += [f"{self._settings.origins[section]}: [{section}] {problem}" for problem in problems]
            return None
        words = {"image": values["image"] or "", "meaning": values["meaning"] or name}
        program = values["image"] or values["command"][0]
        words |= {"makes": values["makes"] or f"what {program} makes", "modalities": values["modalities"] or ()}
        return CommandType(name=name, **(values | words))

    def _printer(self, name: str) -> Mapping[str, Any]:
        """Return the values of one printer."""
        section = f"printer {name}"
        values = self._values("printer", section)
        needed = NEEDED.get(values["output"])
        if needed and not values[needed]:
            self._problems.append(
                f"{self._settings.origins[section]}: [{section}] output = {values['output']} needs '{needed}'"
            )
        self._check_called(section, "destination", [values["destination"]] if values["destination"] else [])
        for entry in values["clients"] or ():
            if entry not in self._names("ae"):
                self._problems.append(
                    f"{self._settings.origins[section]}: [{section}] clients: no [ae {entry}]"
                    f"{closest(entry, self._names('ae'))}"
                )
        return values

    def _check_printers(self, ae_title: str, printers: Mapping[str, Mapping[str, Any]]) -> None:
        """Find AE titles that choose two printers, or a printer and the node, and substitutes that are none."""
        taken = {ae_title: "[node]"}
        for name, values in printers.items():
            origin = f"{self._settings.origins[f'printer {name}']}: [printer {name}]"
            title, substitute = values["ae_title"], values["substitute"]
            if title and title in taken:
                self._problems.append(f"{origin} ae_title {title} is that of {taken[title]}")
            taken.setdefault(title or "", f"[printer {name}]")
            if substitute and (substitute == name or substitute not in printers):
                self._problems.append(f"{origin} substitute: no other [printer {substitute}]")

    def _poll(self, name: str) -> Poll | None:
        """Return what is collected from one AE; None if its entry is wrong."""
        section = f"poll {name}"
        problems_before = len(self._problems)
        values = self._values("poll", section)
        keys = tuple((keyword, text) for keyword, text, _ in self._conditions(section))
        self._check_called(section, "source", [values["source"]] if values["source"] else [])
        if len(self._problems) > problems_before:
            return None
        return Poll(
            name,
            values["source"],
            values["every"],
            values["days_back"],
            values["hours"],
            values["retrieve"],
            values["instances_max"],
            keys,
        )

    def _retention(
        self,
        name: str,
        volumes: Sequence[tuple[str, Mapping[str, Any]]],
        remotes: Iterable[Remote | None],
        routes: Iterable[Route | None],
    ) -> Retention | None:
        """Return one rule by which studies are deleted; None if its entry is wrong."""
        section = f"retention {name}"
        problems_before = len(self._problems)
        values = self._values("retention", section)
        conditions = self._conditions(section)
        if len(self._problems) > problems_before:
            return None
        problems = [*_watermark_problems(values, volumes), *_proof_problems(values, len(volumes))]
        known = {remote.name: remote for remote in remotes if remote is not None}
        fed = {to for route in routes if route is not None and route.send in ("instances", "both") for to in route.to}
        for entry in values["to"] or ():
            problem = ""
            if entry not in self._names("ae"):
                problem = f"no [ae {entry}]{closest(entry, self._names('ae'))}"
            elif entry not in fed:
                problem = f"no [route NAME] sends instances to {entry}"
            elif COMMITTED in _words(values["after"]) and entry in known and not known[entry].must_commit:
                problem = f"[ae {entry}] has no must_commit = yes: it is never asked to commit"
            problems += [f"to: {problem}"] if problem else []
        if problems:
            self._problems += [f"{self._settings.origins[section]}: [{section}] {problem}" for problem in problems]
            return None
        watermark = None
        if values["watermark"]:
            watermark = Watermark(values["volume"], values["watermark"], values["until"] or values["watermark"])
        return Retention(
            name,
            values["age"],
            values["after"],
            values["to"] or (),
            conditions,
            watermark,
            values["last_copy"],
            values["dry_run"],
        )

    def _check_called(self, section: str, option: str, wanted: Iterable[str]) -> None:
        """Find AEs that are not there, or cannot be called."""
        entries = self._names("ae")
        for entry in wanted:
            problem = ""
            if entry not in entries:
                problem = f"no [ae {entry}]{closest(entry, entries)}"
            elif not self._has_port(entry):
                problem = f"[ae {entry}] has no address with a port"
            if problem:
                self._problems.append(f"{self._settings.origins[section]}: [{section}] {option}: {problem}")

    def _conditions(self, section: str) -> tuple[tuple[str, str, Condition], ...]:
        """Return what the options say that are named as attributes are."""
        kind = section.partition(" ")[0]
        found = [
            self._condition(setting, keyword)
            for setting in self._settings.sections[section].values()
            if (keyword := _keyword_of(kind, setting.option))
        ]
        return tuple(one for one in found if one is not None)

    def _condition(self, setting: Setting, keyword: str) -> tuple[str, str, Condition] | None:
        """Return what an option says that is named as an attribute is; None if it says nothing."""
        if keyword != CALLING_AE_TITLE:
            self._used.append(setting)
        from medserver.config.keyed import check_study_key, condition_of

        try:
            condition = condition_of(keyword, setting.text)
            if condition is not None and setting.section.startswith("poll "):
                check_study_key(keyword, setting.text)
        except ValueError as error:
            self._problems.append(f"{setting.origin}: [{setting.section}] {keyword}: {error}")
            return None
        return None if condition is None else (keyword, setting.text, condition)

    def _has_port(self, entry: str) -> bool:
        """Tell whether an AE has an address with a port; what is no address is reported elsewhere."""
        address = self._settings.sections[f"ae {entry}"].get("address")
        try:
            return address is not None and parse_host_and_port(address.text)[1] is not None
        except ValueError:
            return True

    def _ae_title_from_name(self, section: str, name: str) -> str | None:
        """Return the AE title of an entry that has its name only."""
        try:
            return parse_ae_title(name)
        except ValueError as error:
            self._problems.append(
                f"{self._settings.origins[section]}: [{section}] ae_title is needed: {error}"
            )
            return None

    def _check_told(self, names: Iterable[str]) -> None:
        """Find who is to be told that the node starts and stops, and is no entry."""
        known = self._names("ae")
        for name in names:
            if name not in known:
                self._problems.append(f"[workitems] status_to: no entry [ae {name}]{closest(name, known)}")

    def _check_destinations(self, remotes: list[Remote]) -> None:
        """Find destinations of the same AE title: a C-MOVE names its destination by nothing else."""
        first_by_ae_title: dict[str, Remote] = {}
        for remote in remotes:
            if not remote.is_destination:
                continue
            first = first_by_ae_title.setdefault(remote.ae_title, remote)
            if first is not remote:
                section = f"ae {remote.name}"
                self._problems.append(
                    f"{self._settings.origins[section]}: [{section}] address: [ae {first.name}] has the same "
                    f"AE title and a port too: a C-MOVE could not tell them apart (leave the port out of one)"
                )


def _keyword_of(kind: str, option: str) -> str | None:
    """Return the attribute that an option asks for, None if it is another option."""
    from medserver.config.keyed import keyword_named

    is_caller = kind in ("route", "processing", "retention") and option == CALLING_AE_TITLE
    if kind == "route" and option in FORMAT:  # there is an attribute Copies
        return None
    return option if is_caller else None if option in options_of(kind) else keyword_named(option)


def is_parameter_of(kind: str, option: str) -> bool:
    """Tell whether an option is a parameter of a type of processing: what is neither an option nor an attribute.

    Of a rule that sends, it is one if it is the name of format information.
    """
    if kind == "route":
        return option in FORMAT
    is_other = option in options_of(kind) or _keyword_of(kind, option)
    return kind == "processing" and not is_other and is_parameter(option)


def _identity_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the users of an AE, or with the one that it is told."""
    if values["users"] and values["identity"] == "none":
        yield "users: with identity = none no user is asked for"
    if values["passcode_file"] and not values["user"]:
        yield "passcode_file: whose? (user = NAME)"
    if values["token_file"] and values["user"]:
        yield "token_file and user exclude each other: the token names the user"


def _printing_problems(values: Mapping[str, Any], given: Sequence[str], printers: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with where a rule sends, or how it prints."""
    printer = values["printer"]
    if printer and values["to"]:
        yield "has 'to' and 'printer': one stands in the place of the other"
    elif not printer and not values["to"]:
        yield "to is missing, or 'printer' in its place"
    elif not printer and given:
        yield f"{given[0]}: only what is printed has that, it names no 'printer'"
    elif printer and printer not in printers:
        yield f"printer: no [printer {printer}]{closest(printer, printers)}"
    elif printer and (values["send"] != "instances" or values["set"] or values["remove"] or values["map"]):
        yield "what is printed is sent as it is: without 'send', 'set', 'remove' and 'map'"


def _type_problems(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a type that an external program is."""
    if NAME.fullmatch(name) is None:
        yield "the name of a type has small letters, digits and '_', 16 at most"
    if not values["command"] and not values["image"]:
        yield "command or image is missing"
    elif not values["image"] and not values["command"][0].startswith("/"):
        yield f"command: '{values['command'][0]}' is not a path from the root, /path/program"
    if len(values["meaning"] or "") > MEANING_LENGTH_MAX:
        yield f"meaning: more than {MEANING_LENGTH_MAX} characters"
    taken = options_of("processing")
    for parameter, _ in values["parameters"]:
        if parameter in taken or parameter in ("outputs", "then") or _keyword_of("processing", parameter):
            yield f"parameters: '{parameter}' means something else in [processing NAME]"


def _words(after: Iterable[tuple[str, ...]]) -> set[str]:
    """Return all that must be known before something is deleted, in whichever case."""
    return {word for each in after for word in each}


def _proof_problems(values: Mapping[str, Any], volume_count: int) -> Iterator[str]:
    """Yield what is wrong with what must be known before a rule deletes, given the number of volumes."""
    words, takes_all = _words(values["after"]), values["last_copy"] == DELETE
    if words & {DELIVERED, COMMITTED} and not values["to"]:
        yield "to is missing: which AEs must have it"
    if values["to"] and not words & {DELIVERED, COMMITTED}:
        yield f"to: with after = {ARCHIVED} no AE must have it"
    if takes_all and any(set(each) == {ARCHIVED} for each in values["after"]):
        yield f"last_copy: with {DELETE} the copy in the archive is deleted too; leave it out, or demand {DELIVERED}"
    if not takes_all and volume_count == 1:
        yield (
            f"last_copy: there is one volume, so every copy is the last one, and {KEEP} keeps it: add a [volume NAME], "
            f"or say last_copy = {DELETE}"
        )


def _watermark_problems(values: Mapping[str, Any], volumes: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield what is wrong with the watermark of a rule, given the volumes."""
    name, above, until = values["volume"], values["watermark"], values["until"]
    places = dict(volumes)
    if above is not None and name is None:
        yield "watermark: which volume? (volume = NAME)"
    if above is None:
        yield from (f"{option}: only with watermark" for option in ("volume", "until") if values[option] is not None)
    elif name is not None and name not in places:
        yield f"volume: no volume '{name}'{closest(name, places)}"
    elif name is not None and places[name]["path"] is None:
        yield f"volume: {name} is a bucket, which has no size"
    elif name is not None and values["last_copy"] == KEEP and places[name]["role"] != "primary":
        yield f"volume: with last_copy = {KEEP} copies are removed from the primary volume only"
    if above is not None and until is not None and until >= above:
        yield f"until: {until} % is not below the watermark, {above} %"


def _below(values: dict[str, Any], data: Path, names: Iterable[str]) -> dict[str, Any]:
    """Return values with the named ones, which are paths, absolute."""
    return values | {name: data / values[name] for name in names if values[name] is not None}


def _secrets(values: Mapping[str, Any], data: Path) -> Iterator[Path | None]:
    """Yield where passcode and token for an AE are, absolute; None where there is none."""
    yield from (None if values[name] is None else data / values[name] for name in ("passcode_file", "token_file"))
