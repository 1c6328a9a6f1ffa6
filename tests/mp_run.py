"""Run test files under MicroPython: .venv/bin/micropython tests/mp_run.py FILE [NAME]"""

import asyncio
import sys

sys.path[:0] = ["firmware", "tests/support", "boards"]


def run(path, only):
    namespace = {"__name__": path, "__file__": path}
    with open(path) as source:
        exec(compile(source.read(), path, "exec"), namespace)
    names = [n for n in sorted(namespace) if n.startswith("test_") and (not only or n == only)]
    failed = 0
    for name in names:
        try:
            result = namespace[name]()
            if hasattr(result, "send"):
                asyncio.run(result)
            asyncio.new_event_loop()
        except Exception as error:
            failed += 1
            print("FAIL", path, name)
            sys.print_exception(error)
    return len(names) - failed, failed


passed, failed = run(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed or not passed else 0)
