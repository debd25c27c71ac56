"""config.ini as frozen records: the only package that reads it.

Start at `ConfigFile` (the file as it is now) and `Config` (what it says). Every option stands in `options`.
"""

from __future__ import annotations

from medserver.config.command import CommandType
from medserver.config.file import ConfigFile
from medserver.config.issuer import ROLES, Issuer
from medserver.config.poll import Poll
from medserver.config.printer import Printer
from medserver.config.processing import SENDER, Processing
from medserver.config.reader import Reading, read_config
from medserver.config.records import (
    BackupOptions,
    Config,
    IndexOptions,
    JobOptions,
    LimitOptions,
    LogOptions,
    NodeOptions,
    Rule,
    StoreOptions,
    VolumeOptions,
    WorkitemOptions,
)
from medserver.config.remote import (
    IDENTITY_NONE,
    IDENTITY_REQUIRED,
    NOT_INFORMED,
    SERVICES,
    UPS_EVENT,
    Identification,
    Remote,
)
from medserver.config.retention import Retention, Watermark
from medserver.config.route import CALLING_AE_TITLE, Changes, Route
from medserver.config.security import Security, TLSOptions
from medserver.config.settings import Setting

__all__ = [
    "CALLING_AE_TITLE",
    "IDENTITY_NONE",
    "IDENTITY_REQUIRED",
    "NOT_INFORMED",
    "ROLES",
    "SENDER",
    "SERVICES",
    "UPS_EVENT",
    "BackupOptions",
    "Changes",
    "CommandType",
    "Config",
    "ConfigFile",
    "Identification",
    "IndexOptions",
    "Issuer",
    "JobOptions",
    "LimitOptions",
    "LogOptions",
    "NodeOptions",
    "Poll",
    "Printer",
    "Processing",
    "Reading",
    "Remote",
    "Retention",
    "Route",
    "Rule",
    "Security",
    "Setting",
    "StoreOptions",
    "TLSOptions",
    "VolumeOptions",
    "Watermark",
    "read_config",
    "WorkitemOptions",
]
