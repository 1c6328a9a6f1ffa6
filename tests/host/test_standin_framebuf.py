"""The stand-in for `framebuf` against the interpreter's own: the same calls, the same bytes and the same refusals."""

import json
import pathlib
import random
import subprocess

import framebuf

ROOT = pathlib.Path(__file__).resolve().parents[2]
_CASES = 60
_PLAYER = """
import framebuf, json, sys

def play(script):
    width, height, stride, calls = script
    buffer = bytearray(stride * ((height + 7) // 8))
    frame = framebuf.FrameBuffer(buffer, width, height, framebuf.MONO_VLSB, stride)
    out = []
    for name, arguments in calls:
        if name == "blit":
            w, h, data, x, y, key = arguments
            source = framebuf.FrameBuffer(bytearray(data), w, h, framebuf.MONO_VLSB)
            result = frame.blit(source, x, y, key) if key is not None else frame.blit(source, x, y)
        else:
            result = getattr(frame, name)(*arguments)
        out.append([result, list(buffer)])
    return out
"""
_MAIN = """
for line in sys.stdin:
    print(json.dumps(play(json.loads(line))))
"""


def _script(seed):
    """A random picture and 12 calls on it, some of them off its edges."""
    chance = random.Random(seed)
    width, height = chance.randint(1, 40), chance.choice((8, 16, 24, 11))
    near = lambda top: chance.randint(-6, top + 6)  # noqa: E731
    calls = []
    for _ in range(12):
        name = chance.choice(("fill", "fill_rect", "pixel", "get", "blit"))
        colour = chance.randint(0, 1)
        if name == "fill":
            calls.append(("fill", [colour]))
        elif name == "fill_rect":
            calls.append((name, [near(width), near(height), chance.randint(0, 20), chance.randint(0, 20), colour]))
        elif name == "pixel":
            calls.append(("pixel", [near(width), near(height), colour]))
        elif name == "get":
            calls.append(("pixel", [near(width), near(height)]))
        else:
            w, h = chance.choice(((6, 8), (8, 16), (12, 24), (16, 16)))
            data = [chance.randrange(256) for _ in range(w * h // 8)]
            calls.append((name, [w, h, data, near(width), near(height), chance.choice((None, 0, 1))]))
    return [width, height, width + chance.choice((0, 0, 3)), calls]


def test_every_call_leaves_the_same_pixels():
    scripts = [_script(seed) for seed in range(_CASES)]
    done = subprocess.run(
        [ROOT / ".venv/bin/micropython", "-X", "heapsize=8m", "-c", _PLAYER + _MAIN],
        input="".join(json.dumps(script) + "\n" for script in scripts),
        capture_output=True,
        text=True,
        check=True,
    )
    namespace = {}
    exec(_PLAYER, namespace)
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(theirs) == _CASES
    for script, expected in zip(scripts, theirs):
        assert json.loads(json.dumps(namespace["play"](script))) == expected, script


def test_wrong_arguments_are_refused_alike():
    wrong = [
        "(bytearray(8), 0, 8, 0)",
        "(bytearray(8), 8, -1, 0)",
        "(bytearray(7), 8, 8, 0)",
        "(bytearray(8), 8, 8, 0, 7)",
    ]
    source = "import framebuf\nfor a in [%s]:\n try:\n  framebuf.FrameBuffer(*a)\n  print(0)\n except ValueError:\n  print(1)\n"
    done = subprocess.run(
        [ROOT / ".venv/bin/micropython", "-c", source % ",".join(wrong)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1"] * len(wrong)
    for arguments in wrong:
        try:
            framebuf.FrameBuffer(*eval(arguments))
        except ValueError:
            continue
        raise AssertionError(arguments)
