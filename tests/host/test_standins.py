"""The CPython stand-ins against the interpreter itself: the same calls on both, their results and refusals line by line.

The calls stand in a table, one expression or statement each; they run in order and may use each other's names.
"""

import os
import subprocess
import sys

from tools import MICROPYTHON

from kassette_host import ROOT

_STANDINS = ROOT / "host_tools/kassette_host/standins"

_RUNNER = """
import sys
{prelude}
namespace = {{"aes": __import__("cryptolib").aes, "micropython": __import__("micropython")}}
for call in {calls!r}:
    try:
        try:
            result = eval(call, namespace)
        except SyntaxError:
            result = exec(call, namespace)
        print(repr(result))
    except Exception as error:
        print(type(error).__name__, {detail})
"""

_CIPHERS = """
key = bytes(range(16))
iv = bytes(range(100, 116))
data = bytes(range(200, 248))
aes(key, 1).encrypt(data)
aes(key, 1).decrypt(data)
aes(key, 2, iv).encrypt(data)
aes(key, 2, iv).decrypt(data)
aes(bytes(32), 1).encrypt(data)
aes(bytes(32), 2, iv).encrypt(data)
aes(bytearray(key), 2, memoryview(iv)).encrypt(memoryview(data)[:16])
aes(key, 1, iv).encrypt(data[:16])
aes(key, 1).encrypt(b"")
aes(key, 2, iv).encrypt(b"")
type(aes(key, 1).encrypt(bytearray(16))).__name__
type(aes(key, 1).decrypt(memoryview(data)[:16])).__name__
"""

_CHAINS = """
cbc = aes(key, 2, iv)
cbc.encrypt(data[:16])
cbc.encrypt(data[:16])
cbc.encrypt(data)
back = aes(key, 2, iv)
back.decrypt(data[:16])
back.decrypt(data[16:])
kept = bytearray(iv)
own = aes(key, 2, kept)
own.encrypt(data)
bytes(kept) == iv
"""

_BUFFERS = """
exact = bytearray(48)
aes(key, 2, iv).encrypt(data, exact) is exact
bytes(exact)
large = bytearray(64)
aes(key, 1).encrypt(data, large) is large
bytes(large)
place = bytearray(data)
aes(key, 2, iv).encrypt(place, place) is place
bytes(place)
aes(key, 2, iv).decrypt(place, place) is place
bytes(place) == data
part = bytearray(64)
aes(key, 1).encrypt(data[:16], memoryview(part)[8:24]) is None
bytes(part)
"""

_REFUSALS = """
aes()
aes(key)
aes(key[:15], 1)
aes(b"", 1)
aes(bytes(24), 1)
aes(bytes(33), 1)
aes(key, 0)
aes(key, 3)
aes(key, 6)
aes(key, 6, iv)
aes(key, 2)
aes(key, 2, None)
aes(key, 2, iv[:15])
aes(key, 2, iv + iv)
aes(key, 2, b"")
aes(7, 1)
aes(None, 1)
aes(key, 2, 5)
aes(key, 1).encrypt(data[:15])
aes(key, 1).encrypt(data[:17])
aes(key, 2, iv).decrypt(data[:1])
aes(key, 1).encrypt(5)
aes(key, 1).encrypt(data, bytearray(47))
aes(key, 1).encrypt(data, bytearray(0))
aes(key, 1).encrypt(data[:16], bytes(16))
one = aes(key, 1)
one.encrypt(data[:16])
one.decrypt(data[:16])
two = aes(key, 2, iv)
two.decrypt(data[:16])
two.encrypt(data[:16])
three = aes(key, 1)
three.encrypt(data[:15])
three.decrypt(data[:16])
four = aes(key, 1)
four.encrypt(data[:16], bytearray(15))
four.decrypt(data[:16])
aes(key, 1).encrypt(data[:16], None)
aes(key, 1).decrypt(data[:16], 5)
"""

_MICROPYTHON = """
micropython.const(5)
micropython.const(b"abc")
exec("def locked():\\n a = lock(); b = lock(); c = unlock(); d = unlock()\\n return a, b, c, d")
lock, unlock = micropython.heap_lock, micropython.heap_unlock
locked()
micropython.opt_level() in (0, 1, 2, 3)
micropython.opt_level(0)
"""


def _lines(command, calls, detail, prelude=""):
    script = _RUNNER.format(calls=calls, detail=detail, prelude=prelude)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _compare(table, detail="error"):
    """Both runtimes on one table; the names of the first table are there in every one."""
    calls = (_CIPHERS + table).strip().splitlines()
    real = _lines([MICROPYTHON], calls, detail)
    ours = _lines([sys.executable], calls, detail, "sys.path.insert(0, %r)" % str(_STANDINS))
    assert len(real) == len(ours) == len(calls)
    different = [(c, r, o) for c, r, o in zip(calls, real, ours, strict=True) if r != o]
    assert not different, "\n".join("%s: MicroPython %s, stand-in %s" % d for d in different)
    return real


def test_ciphers():
    assert all("Error" not in line for line in _compare(""))


def test_chaining_from_call_to_call():
    _compare(_CHAINS)


def test_out_buffers():
    _compare(_BUFFERS)


def test_refusals():
    """The class and, for values, the text; the texts of TypeError come from the runtimes themselves."""
    lines = _compare(_REFUSALS, detail='error if isinstance(error, ValueError) else ""')
    assert sum("Error" in line for line in lines) >= 20


def test_micropython_module():
    _compare(_MICROPYTHON)


def test_decorators_change_nothing():
    _compare(
        "exec('@micropython.native\\ndef f(x):\\n    return x + 1\\n')\n"
        "exec('@micropython.viper\\ndef g(x: int) -> int:\\n    return x + 1\\n')\n"
        "(f(1), g(2))"
    )
