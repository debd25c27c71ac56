"""Print the Debian packages of the peers that are missing, one a line."""

from __future__ import annotations

from tests.peers import PROGRAMS, is_installed

for peer, (package, _) in PROGRAMS.items():
    if not is_installed(peer):
        print(package)
