"""Link modules of the firmware into one: the source tree keeps one noun per file, the chip pays for one module.

A module costs the device its namespace, the names that it imports and its tables of names and constants; the merged
module pays for them once (firmware/docs/adr/0003-linked-bundle.md has the figures). What can't be proved to mean the
same afterwards is refused with file and line, never guessed.
"""

from kassette_host.link.linker import Linked, link
from kassette_host.link.module import LinkError

__all__ = ["LinkError", "Linked", "link"]
