"""For the exhaustive suites on CPython: a fixture that lets the journal's pure functions answer from memory."""

import functools

from kassette.codec import kdf, rot, slot
from kassette.store import journal


@functools.lru_cache(1000)
def _key_of(key, label, terminal, number):
    return kdf.terminal_key(key, label, terminal, number)


def _remembered_key(key, *rest):
    return _key_of(bytes(key), *rest)


def remember(monkeypatch):
    """The same slot is opened a thousand times over: pure functions answer from memory. Halves the time, changes nothing."""
    opened, flipped = {}, {}
    unseal, flips = slot.unseal, rot.flips

    def remembered_unseal(raw, out, prev, mac, key):
        name = bytes(raw), prev and bytes(prev), bytes(mac.key), bytes(key)
        if name not in opened:
            if len(opened) > 50_000:
                opened.clear()
            opened[name] = unseal(raw, out, prev, mac, key), bytes(out)
        out[:] = opened[name][1]
        return opened[name][0]

    def remembered_flips(raw):
        name = bytes(raw)
        if name not in flipped:
            if len(flipped) > 50_000:
                flipped.clear()
            flipped[name] = list(flips(raw))
        return iter(flipped[name])

    monkeypatch.setattr(slot, "unseal", remembered_unseal)
    monkeypatch.setattr(rot, "flips", remembered_flips)
    monkeypatch.setattr(journal, "terminal_key", _remembered_key)
