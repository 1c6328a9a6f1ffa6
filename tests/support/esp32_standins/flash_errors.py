"""What `hal.Flash` of the bench board makes of a chip that reports errors: a line each."""

import esp32
from esp32_bench.raw import counts, open_partition  # noqa: F401  as main.py has it, for the board

from esp32_bench.board import Flash  # isort: skip

from kassette.errors import Fault

flash = Flash("journal")
for name, call in (("program", lambda: flash.program(4096, b"\0")), ("erase", lambda: flash.erase(1))):
    esp32.Partition.fail_next = True
    try:
        call()
        print(name, "nothing")
    except Fault as fault:
        print(name, fault.code, fault.at)
    call()
print("blank", flash.is_blank(4096, 4096))
