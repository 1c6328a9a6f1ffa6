"""The slot of the simulated terminal: what its heads see of a card, block by block, while the firmware listens."""

import random
from collections.abc import Callable

from kassette_host.sim import wire
from kassette_host.sim.timeline import Timeline
from kassette_host.virtual.stripe_head import RATE_HZ, blocks

_SAMPLES_LEN = 512  # bytes of each head in one message: boards/sim/stripe_port.py


class StripeSlot:
    """`deliver(channel, samples)` reaches the firmware; `forget()` takes back what it has not had yet."""

    def __init__(self, timeline: Timeline, deliver: Callable[[int, bytes], None], forget: Callable[[], None]):
        self.tracks: tuple[int, ...] = ()  # that its heads see; empty: there is no stripe reader
        self.is_sampled = False  # by the firmware: it listens only while somebody is to swipe
        self._timeline = timeline
        self._deliver = deliver
        self._forget = forget
        self._lives = 0

    def sample(self, channel: int, body: bytes) -> bytes:
        """The firmware begins to listen, or has heard enough; how many heads there are."""
        self.is_sampled = bool(body[0] and self.tracks)
        if not self.is_sampled:  # what the heads still had to say has nobody to hear it
            self._forget()
        return bytes([len(self.tracks)])

    def swipe(self, seen: dict[int, list[int]]) -> bool:
        """Drag a stripe through: track -> samples of its transitions (`virtual.stripe_head.swipe`).

        It takes the time that it takes. False: the firmware doesn't listen, and the swipe goes by.
        """
        if not self.is_sampled:
            return False
        step_us = _SAMPLES_LEN * 8 * 1_000_000 // RATE_HZ
        rng = random.Random(self._timeline.now_us)
        for i, heads in enumerate(blocks(seen, self.tracks, rng, _SAMPLES_LEN)):
            self._timeline.call_later((i + 1) * step_us, self._play, heads, self._lives)
        return True

    def _play(self, heads: list[bytes], life: int) -> None:
        if self.is_sampled and life == self._lives:
            for i, data in enumerate(heads):
                self._deliver(wire.STRIPE + i, data)

    def power_off(self) -> None:
        """The rest of a swipe falls on a reader that is dead."""
        self.is_sampled = False
        self._lives += 1
