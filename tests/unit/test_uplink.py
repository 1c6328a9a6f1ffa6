import asyncio

from office import JOURNAL, NOW, SILENCE, TERMINAL, Clock, Journal, Office, Random, Settings, http, signed

from kassette.errors import Fault
from kassette.net.uplink import Uplink
from kassette.wallclock import WallClock

BUFFER_LEN = 112 + 19 + 36 + 16 * 128


class Shop:
    """One terminal's uplink, with everything around it scripted."""

    def __init__(self, records=0, reply=None):
        self.clock = Clock()
        self.journal = Journal(records)
        self.office = Office(self.clock, self.journal, reply)
        self.random = Random()
        self.wall = WallClock(self.clock, 1_000)
        self.uplink = Uplink(self.office, Settings(), self.journal, self.clock, self.random, self.wall)

    async def once(self):
        """One attempt: whether there is more, or the code of the fault."""
        try:
            return await self.clock.run(self.uplink.run_once())
        except Fault as fault:
            return fault.code

    async def play(self, script):
        """`script` runs beside `run_forever`."""

        async def both():
            task = asyncio.create_task(self.uplink.run_forever())
            await script
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass

        await self.clock.run(both())

    def untouched(self):
        return self.journal.acks == [] and not self.wall.is_trusted and not any(s.is_open for s in self.office.streams)


# --- one attempt


async def test_the_request_byte_for_byte_in_one_write():
    shop = Shop(records=3)
    assert await shop.once() is False
    [request] = shop.office.requests
    assert request.head == (
        b"POST /v1/slots HTTP/1.1\r\nHost: kassette-backoffice\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 548"
    )
    assert (request.magic, request.terminal, request.journal) == (b"KU1\0", TERMINAL, JOURNAL)
    assert (request.count, request.first, request.last) == (4, 1, 3)
    assert request.slots == b"".join([bytes(slot) for slot in shop.journal.raw])
    assert len(request.body) == 548


async def test_an_acknowledgement_moves_the_watermark_and_sets_the_clock():
    shop = Shop(records=3)
    assert await shop.once() is False
    assert shop.journal.acks == [(3, NOW)] and shop.journal.acked == 3
    assert shop.wall.now() == NOW and shop.wall.is_trusted


async def test_a_certificate_is_judged_by_a_trusted_time_only():
    shop = Shop()
    shop.office.reply = lambda request: []
    assert await shop.once() == 502
    shop.office.reply = shop.office.honest
    assert await shop.once() is False
    await shop.clock.run(shop.clock.sleep_ms(7_000))
    shop.uplink.close()
    assert await shop.once() is False
    shop.wall.set(NOW - 60, True)  # the clock stands still until that has caught up
    shop.uplink.close()
    assert await shop.once() is False
    assert shop.office.times == [0, 0, NOW + 7, 0]


async def test_nothing_to_send_asks_for_the_time_all_the_same():
    shop = Shop()
    assert await shop.once() is False
    [request] = shop.office.requests
    assert (request.count, request.first, request.last, request.slots) == (0, 1, 0, b"")
    assert shop.wall.now() == NOW and shop.wall.is_trusted and shop.journal.acks == []


async def test_a_head_that_is_known_is_compared():
    shop = Shop(records=3)
    assert await shop.once() is False
    assert await shop.once() is False
    assert [(r.count, r.first, r.last) for r in shop.office.requests] == [(4, 1, 3), (0, 4, 3)]
    shop.office.reply = lambda request: [http(signed(request, shop.journal, tag=b"x" * 16))]
    assert await shop.once() == 506


async def test_many_records_leave_in_batches_over_one_connection():
    shop = Shop(records=40)
    for has_more in (True, True, False):
        assert await shop.once() is has_more
    assert [(r.count, r.first, r.last) for r in shop.office.requests] == [(16, 1, 15), (16, 16, 31), (10, 32, 40)]
    assert b"".join([r.slots for r in shop.office.requests]) == b"".join([bytes(s) for s in shop.journal.raw])
    assert shop.office.opens == 1 and shop.journal.acked == 40


async def test_each_request_has_its_own_nonce():
    shop = Shop(records=40)
    for _ in range(3):
        await shop.once()
    assert len({request.nonce for request in shop.office.requests}) == 3


async def test_the_office_may_take_a_part():
    shop = Shop(records=5)
    shop.office.reply = lambda request: [http(signed(request, shop.journal, up_to=2))]
    assert await shop.once() is True
    assert shop.journal.acked == 2
    shop.office.reply = shop.office.honest
    assert await shop.once() is False
    assert [(r.first, r.last) for r in shop.office.requests] == [(1, 5), (3, 5)]


async def test_records_that_come_while_the_answer_is_on_its_way_are_sent_next():
    shop = Shop(records=2)

    def late(request):
        shop.journal.append()
        return shop.office.honest(request)

    shop.office.reply = late
    assert await shop.once() is True
    assert shop.journal.acked == 2


async def test_the_newest_record_goes_along_though_its_slot_has_rotted():
    shop = Shop(records=3)
    shop.journal.raw[-1][40] ^= 1
    assert await shop.once() is False
    assert (shop.office.requests[0].last, shop.journal.acked) == (3, 3)


async def test_a_batch_that_ends_with_a_sectors_header():
    shop = Shop(records=40)
    shop.journal.acked = 16
    assert await shop.once() is True
    assert (shop.office.requests[0].count, shop.office.requests[0].last) == (16, 31)


async def test_a_batch_without_a_record_does_not_spin():
    shop = Shop()
    shop.journal.snapshots(20)
    shop.journal.append()

    async def script():
        await shop.clock.sleep_ms(100_000)
        assert [(r.count, r.first, r.last) for r in shop.office.requests] == [(16, 1, 0)]

    await shop.play(script())


async def test_a_rotten_serial_in_a_full_batch_is_not_believed():
    shop = Shop(records=20)
    shop.journal.raw[15][8] = 200
    assert await shop.once() is True
    assert (shop.office.requests[0].count, shop.office.requests[0].last) == (16, 14)


# --- what the other side may say


async def refused(reply, code, records=3):
    """An answer that ends in `code`, changes nothing and costs the connection; the next honest one is taken."""
    shop = Shop(records)
    shop.office.reply = lambda request: reply(request, shop)
    assert await shop.once() == code
    assert shop.untouched()
    assert shop.clock.now <= 15_000
    assert shop.office.streams[0].most <= BUFFER_LEN
    shop.office.reply = shop.office.honest
    assert await shop.once() is False and shop.journal.acked == records


async def test_nonsense_in_the_place_of_http():
    for words in (b"SSH-2.0-x\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46", bytes(3000), b"\r\n\r\n", b"{}" * 2000):
        end = 504 if len(words) > 1000 or b"\r\n\r\n" in words else 502
        await refused(lambda request, shop, words=words: [words], end)


async def test_nothing_at_all():
    await refused(lambda request, shop: [], 502)
    await refused(lambda request, shop: [SILENCE], 502)


async def test_a_head_without_end_is_bounded():
    shop = Shop(1, lambda request: [b"HTTP/1.1 200 OK\r\n"] + [b"x-more: 1\r\n"] * 1000)
    assert await shop.once() == 504
    assert shop.untouched() and shop.office.streams[0].reads < 1024 // 11 + 2


async def test_a_head_that_is_too_long_though_it_ends():
    await refused(lambda request, shop: [http(signed(request, shop.journal)).replace(b"now", b"n" * 1100)], 504)


async def test_lengths_that_are_not_to_be_believed():
    for length in (10**6 - 1, 10**9, 2200, 305, 0, 50):
        await refused(lambda request, shop, n=length: [http(signed(request, shop.journal), n)], 504)
    await refused(lambda request, shop: [http(signed(request, shop.journal), 307)], 502)
    await refused(lambda request, shop: [http(signed(request, shop.journal)) + b"x"], 504)


async def test_a_head_in_one_piece_with_a_body_that_would_not_fit():
    await refused(lambda request, shop: [http(bytes(2190)), SILENCE], 504)


async def test_http_says_no():
    for status in (100, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503):
        await refused(lambda request, shop, status=status: [http(b"no", status=status)], 507)


async def test_the_status_is_told():
    shop = Shop(1, lambda request: [http(b"", status=409)])
    try:
        await shop.clock.run(shop.uplink.run_once())
        raise AssertionError("taken")
    except Fault as fault:
        assert (fault.code, fault.at) == (507, 409)


async def test_a_wrong_signature():
    def flipped(at):
        def reply(request, shop):
            body = bytearray(signed(request, shop.journal))
            body[at] ^= 1
            return [http(bytes(body))]

        return reply

    for at in (0, 1, 2, 8, 12, 28, 44, 50, 305):
        await refused(flipped(at), 505)
    await refused(lambda request, shop: [http(bytes(306))], 505)


async def test_an_answer_for_somebody_else():
    for change in ({"terminal": 1}, {"journal": 8}, {"nonce": bytes(16)}):
        await refused(lambda request, shop, change=change: [http(signed(request, shop.journal, **change))], 506)


async def test_an_acknowledgement_of_what_was_not_sent():
    for change in (
        {"up_to": 4},
        {"up_to": 0xFFFFFFFF},
        {"up_to": 0},
        {"up_to": 2, "tag": b"x" * 16},
        {"tag": bytes(16)},
    ):
        shop = Shop(3, None)
        shop.office.reply = lambda request, s=shop, c=change: [http(signed(request, s.journal, **c))]
        assert await shop.once() == 506
        assert shop.journal.acks == [] and not shop.office.streams[0].is_open


async def test_the_next_batch_is_not_acknowledged_ahead():
    shop = Shop(20)
    shop.office.reply = lambda request: [http(signed(request, shop.journal, up_to=16))]
    assert await shop.once() == 506
    assert shop.journal.acked == 0


async def test_an_acknowledgement_below_the_watermark():
    shop = Shop(3)
    await shop.once()
    shop.journal.append()
    shop.office.reply = lambda request: [http(signed(request, shop.journal, up_to=2))]
    assert await shop.once() == 506
    assert shop.journal.acked == 3


async def test_an_old_acknowledgement_is_worth_nothing():
    shop = Shop(3)
    kept = []
    shop.office.reply = lambda request: kept.append(shop.office.honest(request)) or kept[0]
    assert await shop.once() is False
    shop.wall = None
    assert await shop.once() == 506
    assert shop.journal.acks == [(3, NOW)]


async def test_an_answer_cut_at_every_byte():
    whole = len(http(bytes(306)))
    for length in range(0, whole, 7):
        shop = Shop(1)
        shop.office.reply = lambda request, s=shop, n=length: [s.office.honest(request)[0][:n]]
        assert await shop.once() == 502
        assert shop.untouched()


async def test_an_answer_in_two_pieces_at_every_byte():
    whole = len(http(bytes(306)))
    for at in range(1, whole, 5):
        shop = Shop(1)

        def split(request, shop=shop, at=at):
            [answer] = shop.office.honest(request)
            return [answer[:at], 5, answer[at:]]

        shop.office.reply = split
        assert await shop.once() is False


async def test_a_slow_answer_is_taken_a_too_slow_one_is_not():
    def dripping(ms):
        def reply(request):
            steps = []
            for byte in shop.office.honest(request)[0]:
                steps += [ms, bytes((byte,))]
            return steps

        return reply

    shop = Shop(1)
    shop.office.reply = dripping(40)
    assert await shop.once() is False and shop.clock.now > 14_000
    shop = Shop(1)
    shop.office.reply = dripping(50)
    assert await shop.once() == 502 and shop.clock.now <= 15_050 and shop.untouched()


async def test_the_connection_breaks_while_the_answer_comes():
    await refused(lambda request, shop: [http(bytes(306))[:100], Fault(502, 104)], 502)


# --- the connection


async def test_no_link_no_attempt():
    shop = Shop(1)
    shop.office.is_linked = False
    assert await shop.once() == 501
    assert shop.office.opens == 0


async def test_a_kept_connection_that_has_ended_is_replaced_at_once():
    for how in ("write", "end", "silence"):
        shop = Shop(1)
        await shop.once()
        shop.journal.append()
        kept = shop.office.streams[0]
        if how == "write":
            kept.write_fault = Fault(502)
        else:
            steps = [[SILENCE] if how == "silence" else []]
            shop.office.reply = lambda request, s=shop, steps=steps: steps.pop() if steps else s.office.honest(request)
        assert await shop.once() is False
        assert shop.office.opens == 2 and not kept.is_open and shop.journal.acked == 2


async def test_only_once():
    shop = Shop(1)
    await shop.once()
    shop.journal.append()
    shop.office.reply = lambda request: []
    assert await shop.once() == 502
    assert shop.office.opens == 2


async def test_a_refusal_over_a_kept_connection_is_not_asked_again():
    shop = Shop(1)
    await shop.once()
    shop.office.reply = lambda request: [http(b"", status=409)]
    assert await shop.once() == 507
    assert shop.office.opens == 1 and len(shop.office.requests) == 2


async def test_faults_of_the_way_there():
    for code in (501, 502, 503):
        shop = Shop(1)
        shop.office.refusals = [Fault(code)]
        assert await shop.once() == code
        assert await shop.once() is False


async def test_the_connection_breaks_while_the_request_leaves():
    shop = Shop(1)
    shop.office.open_ms = 1
    real_open = shop.office.open

    async def open_broken(tls, now, timeout_ms):
        stream = await real_open(tls, now, timeout_ms)
        stream.write_fault = Fault(503, -30592)
        return stream

    shop.office.open = open_broken
    assert await shop.once() == 503
    assert shop.untouched()


async def test_without_memory_an_attempt_ends_and_the_next_one_is_well():
    shop = Shop(3)
    shop.office.refusals.append(MemoryError())

    async def script():
        await shop.clock.sleep_ms(2_500)
        assert shop.uplink.trouble == 508 and shop.untouched()
        await shop.clock.sleep_ms(5_500)
        assert shop.uplink.trouble == 0 and shop.journal.acked == 3

    await shop.play(script())


async def test_without_memory_a_kept_connection_is_given_up():
    shop = Shop(3)
    await shop.once()
    shop.journal.append()
    shop.office.streams[0].write_fault = MemoryError()
    assert await shop.once() == 508
    assert not shop.office.streams[0].is_open and shop.journal.acked == 3
    assert await shop.once() is False and shop.journal.acked == 4


async def test_without_memory_while_the_journal_writes_nothing_is_hidden():
    shop = Shop(3)

    def acknowledge(up_to, tag, time):
        raise MemoryError

    shop.journal.acknowledge = acknowledge
    try:
        await shop.once()
    except MemoryError:
        return
    raise AssertionError("the journal's state is unknown, and nobody was told")


async def test_a_fault_of_the_journal_comes_through():
    shop = Shop(1)

    def broken(first):
        raise Fault(404, first)

    shop.journal.slots = broken
    assert await shop.once() == 404
    assert shop.untouched()


# --- when


async def test_it_starts_when_the_terminal_was_idle_for_two_seconds():
    shop = Shop(1)

    async def script():
        await shop.clock.sleep_ms(1_990)
        assert shop.office.opens == 0
        await shop.clock.sleep_ms(20)
        assert shop.office.opens == 1 and shop.journal.acked == 1
        assert shop.uplink.trouble == 0

    await shop.play(script())


async def test_more_than_one_batch_goes_without_a_pause():
    shop = Shop(100)

    async def script():
        await shop.clock.sleep_ms(2_100)
        assert shop.journal.acked == 100 and shop.office.opens == 1

    await shop.play(script())


async def test_a_new_record_goes_after_the_sale_and_two_seconds():
    shop = Shop(1)

    async def script():
        await shop.clock.sleep_ms(10_000)
        shop.uplink.hold()
        shop.journal.append()
        await shop.clock.sleep_ms(30_000)
        assert shop.journal.acked == 1
        shop.uplink.release()
        await shop.clock.sleep_ms(1_990)
        assert shop.journal.acked == 1
        await shop.clock.sleep_ms(20)
        assert shop.journal.acked == 2 and shop.office.opens == 1

    await shop.play(script())


async def test_a_person_at_the_keypad_without_a_record_starts_nothing():
    shop = Shop(1)

    async def script():
        await shop.clock.sleep_ms(10_000)
        shop.uplink.hold()
        await shop.clock.sleep_ms(1_000)
        shop.uplink.release()
        await shop.clock.sleep_ms(60_000)
        assert len(shop.office.requests) == 1

    await shop.play(script())


async def test_with_nothing_to_send_it_calls_every_five_minutes():
    shop = Shop(1)

    async def script():
        await shop.clock.sleep_ms(2_500 + 3 * 300_000)
        assert len(shop.office.requests) == 4 and shop.office.opens == 1

    await shop.play(script())


async def test_failures_make_the_pauses_longer_up_to_a_bound():
    shop = Shop(1)
    shop.office.refusals = [Fault(503)] * 40
    starts = []

    async def script():
        for _ in range(12):
            opens = shop.office.opens
            while shop.office.opens == opens:
                await shop.clock.sleep_ms(400)
            starts.append(shop.clock.now)
            await shop.clock.sleep_ms(10)
            assert shop.uplink.trouble == 503

    await shop.play(script())
    pauses = [b - a for a, b in zip(starts, starts[1:])]  # noqa: RUF007 - not on the device
    for i, pause in enumerate(pauses):
        longest = 5_000 << min(i, 7)
        assert longest // 2 - 410 <= pause <= longest + 810, (i, pause)
    assert len({pause * 1000 // (5_000 << min(i, 7)) for i, pause in enumerate(pauses)}) > 5  # by chance


async def test_a_success_makes_the_pauses_short_again():
    shop = Shop(1)
    shop.office.refusals = [Fault(502)] * 4

    async def script():
        await shop.clock.sleep_ms(200_000)
        assert shop.journal.acked == 1 and shop.uplink.trouble == 0
        shop.office.refusals = [Fault(502)]
        shop.uplink.close()
        shop.journal.append()
        shop.uplink.release()
        await shop.clock.sleep_ms(2_100)
        assert shop.uplink.trouble == 502
        await shop.clock.sleep_ms(5_100)
        assert shop.uplink.trouble == 0 and shop.journal.acked == 2

    await shop.play(script())


async def test_a_new_record_does_not_cut_a_pause_after_a_failure_short():
    shop = Shop(1)
    shop.office.refusals = [Fault(503)] * 5

    async def script():
        await shop.clock.sleep_ms(60_000)
        opens = shop.office.opens
        shop.journal.append()
        shop.uplink.release()
        await shop.clock.sleep_ms(5_000)
        assert shop.office.opens == opens

    await shop.play(script())


async def test_a_link_that_comes_back_is_seen_within_five_seconds():
    for outage_ms in (30_000, 100_000, 300_000, 1_000_000):
        shop = Shop(1)
        shop.office.is_linked = False

        async def script(shop=shop, outage_ms=outage_ms):
            await shop.clock.sleep_ms(outage_ms)
            assert shop.uplink.trouble == 501 and shop.office.opens == 0
            shop.office.is_linked = True
            await shop.clock.sleep_ms(5_100)
            assert shop.uplink.trouble == 0 and shop.journal.acked == 1

        await shop.play(script())


# --- a person comes first


async def test_a_key_abandons_connecting_and_the_handshake():
    for stage in ("open", "write"):
        shop = Shop(1)
        shop.office.open_ms = 3_000 if stage == "open" else 0
        if stage == "write":
            real_open = shop.office.open

            async def open_slow(tls, now, timeout_ms, shop=shop, real_open=real_open):
                stream = await real_open(tls, now, timeout_ms)
                stream.write_ms = 3_000
                return stream

            shop.office.open = open_slow

        async def script(shop=shop):
            await shop.clock.sleep_ms(3_000)
            assert shop.office.opens == 1
            shop.uplink.hold()
            await shop.clock.sleep_ms(60_000)
            assert shop.office.opens == 1 and shop.office.requests == []
            assert not any(stream.is_open for stream in shop.office.streams)
            shop.uplink.release()
            await shop.clock.sleep_ms(5_100)
            assert shop.office.opens == 2 and shop.journal.acked == 1
            assert shop.uplink.trouble == 0

        await shop.play(script())


async def test_an_answer_that_comes_in_a_sale_waits_for_its_end():
    shop = Shop(1)
    shop.office.reply = lambda request: [1_000] + shop.office.honest(request)

    async def script():
        await shop.clock.sleep_ms(2_500)
        shop.uplink.hold()
        await shop.clock.sleep_ms(40_500)
        assert shop.journal.acked == 0 and not shop.wall.is_trusted
        shop.uplink.release()
        await shop.clock.sleep_ms(20)
        assert shop.journal.acked == 1
        assert NOW + 40 <= shop.wall.now() <= NOW + 41  # the answer's time had aged meanwhile

    await shop.play(script())


async def test_nothing_begins_while_the_terminal_is_in_use():
    shop = Shop(1)
    shop.uplink.hold()

    async def script():
        await shop.clock.sleep_ms(600_000)
        assert shop.office.opens == 0

    await shop.play(script())


async def test_cancelling_it_closes_the_connection_and_is_not_swallowed():
    for held in (False, True):
        shop = Shop(1)
        shop.office.reply = lambda request: [SILENCE]
        ended = []

        async def both(shop=shop, held=held, ended=ended):
            task = asyncio.create_task(shop.uplink.run_forever())
            await shop.clock.sleep_ms(3_000)
            if held:
                shop.uplink.hold()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                ended.append(True)

        await shop.clock.run(both())
        assert ended == [True]
        assert not shop.office.streams[0].is_open


async def test_closing_gives_the_memory_back_and_the_next_attempt_opens_again():
    shop = Shop(1)
    await shop.once()
    shop.uplink.close()
    shop.uplink.close()
    assert not shop.office.streams[0].is_open
    assert await shop.once() is False and shop.office.opens == 2
