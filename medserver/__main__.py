"""``python -m medserver``."""

from __future__ import annotations

from medserver.cli import main

if __name__ == "__main__":
    main(prog_name="medserver")
