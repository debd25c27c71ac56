"""HTTP as config.ini has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WebOptions:
    """``[web]``. `certificate` and `key` are absolute; `processes` is at least 1."""

    enabled: bool = False
    address: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    certificate: Path | None = None
    key: Path | None = None
