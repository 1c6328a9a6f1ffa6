"""On the MicroPython interpreter: what decoding a swipe costs.

Started by kassette_host.bench_swipe: micropython bench_swipe_device.py heap | decode FILE | many FILE. FILE is JSON: the
issuer, and for each track its intervals. Between two calls of `micropython` in `decode` callgrind counts.
"""

import gc
import json
import sys

import micropython

sys.path[:0] = ["firmware"]
_MOST = (520, 1420)  # transitions of tracks 2 and 1


def heap():
    """Bytes that stay after each import and each buffer, in the order in which a swipe needs them."""
    out = {}

    def step(name, make):
        gc.collect()
        before = gc.mem_alloc()
        kept.append(make())
        gc.collect()
        out[name] = gc.mem_alloc() - before

    kept = []
    step("drivers/stripe", lambda: __import__("kassette.drivers.stripe"))
    stripe = sys.modules["kassette.drivers.stripe"]
    step("its buffers, two tracks", lambda: stripe.Stripe([_Port(), _Port()], _MOST, _Clock(), None))
    step("codec/f2f, tracks, swipe", lambda: __import__("kassette.codec.swipe"))
    return out


class _Port:
    block_len = 2048


class _Clock:
    def signal(self):
        return None


def decode(path):
    from array import array

    from kassette.codec import swipe, tracks

    with open(path) as file:
        issuer, lines = json.load(file)
    heads = [(array("H", line), len(line)) for line in lines]
    bits = bytearray(max(_MOST) + 1)
    text = bytearray(tracks.TEXT_LEN)
    digits = bytearray(tracks.OURS_LEN)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    micropython.stack_use()
    verdict, noise = swipe.read(heads, bits, text, digits, issuer)
    micropython.mem_total()
    churn = gc.mem_alloc() - before
    return {"verdict": verdict, "noise": noise, "digits": digits.decode(), "churn": churn}


def many(path):
    """[verdict, noise, digits] of each swipe in the file: [issuer, [intervals of each track, ..]], .."""
    from array import array

    from kassette.codec import swipe, tracks

    bits = bytearray(4000)
    text = bytearray(tracks.TEXT_LEN)
    digits = bytearray(tracks.OURS_LEN)
    found = []
    with open(path) as file:
        for issuer, lines in json.load(file):
            verdict, noise = swipe.read([(array("H", line), len(line)) for line in lines], bits, text, digits, issuer)
            found.append((verdict, noise, digits.decode()))
    return found


print(json.dumps(heap() if sys.argv[1] == "heap" else {"decode": decode, "many": many}[sys.argv[1]](sys.argv[2])))
