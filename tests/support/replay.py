"""One power cut again: replay.py "seed, step, event, pattern[, event2, pattern2]"; 0 holds, 1 breaks, 2 there is no such case."""

import re
import sys

sys.path[:0] = ["tests/support", "firmware", "host_tools/kassette_host/standins"]

from cuts import Broken, replay  # noqa: E402
from ram_nor import ERASE_TEARS, PROGRAM_TEARS  # noqa: E402


def main(text):
    """Run the case that `text` names."""
    case = [int(number) for number in re.findall(r"\d+", text)]
    if len(case) not in (4, 6):
        print('CASE="seed, step, event, pattern[, event2, pattern2]"', file=sys.stderr)
        return 2
    print("seed %d, step %d, cut at event %d" % tuple(case[:3]))
    print("a program torn as %r, an erase as %r" % (PROGRAM_TEARS[case[3]], ERASE_TEARS[case[3]]))
    try:
        if not replay(*case[:4], *case[4:]):
            print("the step has no such event")
            return 2
    except Broken as broken:
        print("broken: %s" % broken)
        return 1
    print("every promise holds")
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
