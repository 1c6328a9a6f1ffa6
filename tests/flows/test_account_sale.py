"""The account sale's flow: what is written before and after each answer, and how long the cashier waits."""

import asyncio

from account_counter import DIGITS, KEY, NUMBER, AccountCounter, answer, never
from counter import NOW, Unplugged
from office import SILENCE, http

from kassette.codec import account, records
from kassette.errors import Fault
from kassette.flows import account_past, account_sale, modes, pin
from kassette.policy import mode

_DECIDED_HERE = 39


def sell(t, amount=850, digits=DIGITS, entry=account.STRIPE):
    """(how it ended, ms that the cashier waited)"""
    started = t.clock.now
    ended = t.run(account_sale.charge(t, amount, bytearray(digits), entry))
    return ended, t.clock.now - started


def record(t, back=1):
    """(kind, values) of the newest record, or of one before it."""
    kind = t.journal.read(t.journal.next_serial - back, t.payload) & 0x7F
    return kind, records.unpack(kind, t.payload)


def outcome(t):
    """The last record that ended an attempt: (kind, reason)."""
    for back in range(1, 6):
        kind, values = record(t, back)
        if kind == records.COMMITTED:
            return kind, values[5]
        if kind == records.NOT_DEBITED:
            return kind, values[3]
    raise AssertionError("no outcome")


def offline(says=never, contact=NOW - 60, mode=account.ONLINE):
    t = AccountCounter(says)
    t.uplink.contact = contact
    t.kept.mode = (mode, 0, 0)
    return t


def test_approved():
    t = AccountCounter()
    assert sell(t)[0] is None
    assert t.effects == [36, "INTENT", "COMMITTED", 14, "beep 0", "slip 0"]
    assert outcome(t) == (records.COMMITTED, 0) and record(t)[1][3] == 5_000
    assert t.till.day_sum == 850 and t.till.open is None


def test_question_and_record_bear_the_same_id_and_say_the_same():
    t = AccountCounter()
    sell(t)
    [asked] = t.asked
    serial = t.journal.next_serial - 2
    kind, intent = record(t, 2)
    assert kind == records.INTENT and asked.serial == serial
    assert (asked.terminal, asked.journal_id, asked.currency) == (0x4B530001, 1, 156)
    assert (asked.slip, asked.amount) == (intent[1], intent[3]) == (1, 850)
    assert intent[5] == account.NO_UID and intent[6] == 4569 and intent[13] == asked.part
    token, entry, sequence, told_mode, flags, contact, counter, whole = account.unpack_part(asked.part)
    assert token == account.token(KEY, bytearray([c - 48 for c in NUMBER]))
    assert (entry, sequence, told_mode, flags, contact, counter, whole) == (account.STRIPE, 1, 1, 0, NOW - 60, 0, 0)
    assert intent[14] == account.end_of_month(b"3112") and asked.ksn == bytes(12) and asked.block == bytes(16)


def test_the_intent_is_on_flash_before_anybody_is_asked():
    t = AccountCounter(lambda asked: (t.effects.append("asked"), [answer(asked)])[1])
    sell(t)
    assert t.effects.index("INTENT") < t.effects.index("asked") < t.effects.index("COMMITTED") < t.effects.index(14)


def test_refused_with_its_reason():
    for decision in (301, 302, 305, 308, 309, 312, 313):
        t = AccountCounter(lambda asked, d=decision: [answer(asked, d)])
        assert sell(t)[0] == decision
        assert outcome(t) == (records.NOT_DEBITED, decision) and t.till.day_sum == 0 and t.till.open is None
        assert t.uplink.stream, "the connection is kept"


def test_the_cashier_has_an_answer_two_tenths_after_the_deadline_whatever_the_server_does():
    delays = list(range(0, 3_000, 100)) + [1_499, 1_500, 1_501, 10_000, 10**8]
    for delay in delays:
        t = AccountCounter(lambda asked, d=delay: [d, answer(asked)])
        ended, waited = sell(t)
        assert ended is None and waited <= 1_700, (delay, waited)
        assert outcome(t) == (records.COMMITTED, 0 if delay < 1_500 else 502), delay
        assert (_DECIDED_HERE in t.effects) == (delay >= 1_500)
    for steps in (
        [],
        [SILENCE],
        [http(b"", status=503)],
        [b"x" * 2000],
        [Fault(503)],
        [b"HTTP/1.1 200 OK\r\n", SILENCE],
    ):
        t = AccountCounter(lambda asked, s=steps: s)
        ended, waited = sell(t)
        assert ended is None and waited <= 1_700 and outcome(t)[1] >= 500, steps


def test_a_settings_deadline_of_its_own():
    t = offline()
    t.settings.answer_ms = 400
    assert sell(t) == (None, 400)


def test_an_answer_that_is_not_this_question_s_is_nothing():
    for changes in (
        {"terminal": 1},
        {"journal_id": 2},
        {"serial": 99},
        {"amount": 851},
        {"nonce": bytes(16)},
    ):
        t = AccountCounter(lambda asked, c=changes: [answer(asked, 0, **c)])
        assert sell(t)[0] is None
        assert outcome(t) == (records.COMMITTED, 506) and t.uplink.stream is None, changes
        t = AccountCounter(lambda asked, c=changes: [answer(asked, 0, **c)])
        t.keys = ["#"]
        assert sell(t, 5_001)[0] == 314, "what nobody approved is not sold above the rule"
        assert outcome(t) == (records.NOT_DEBITED, 314)


def test_an_answer_with_another_signature_is_nothing():
    def forged(asked):
        good = bytearray(answer(asked))
        good[-1] ^= 1
        return [bytes(good)]

    t = AccountCounter(forged)
    assert sell(t)[0] is None and outcome(t) == (records.COMMITTED, 505)


def test_an_answer_after_the_deadline_finds_no_connection_and_no_sale():
    t = AccountCounter(lambda asked: [1_600, answer(asked)])
    line = t.uplink.stream
    sell(t)
    assert not line.is_open and t.uplink.stream is None
    records_then = t.journal.next_serial
    assert sell(t)[0] is None and t.journal.next_serial > records_then
    assert len(t.asked) == 1, "nobody is asked without a connection"
    assert t.till.day_sum == 1_700 and t.till.day_count == 2


def test_a_refusal_of_the_server_itself_is_no_silence():
    for status in (400, 403, 409):
        t = AccountCounter(lambda asked, s=status: [http(b"{}", status=s)])
        assert sell(t)[0] == 507
        assert outcome(t) == (records.NOT_DEBITED, 507)


def test_an_issuer_s_silence_is_the_back_office_s_silence():
    t = AccountCounter(lambda asked: [answer(asked, 502)])
    assert sell(t)[0] is None and outcome(t) == (records.COMMITTED, 502)


def test_without_a_link_or_a_connection_nobody_waits():
    t = offline()
    t.is_linked = False
    assert sell(t) == (None, 0) and outcome(t) == (records.COMMITTED, 501)
    t = offline()
    t.uplink.stream = None
    assert sell(t) == (None, 0) and outcome(t) == (records.COMMITTED, 502)
    t = offline()
    t.uplink.is_busy = True
    assert sell(t) == (None, 0) and outcome(t) == (records.COMMITTED, 502)


def test_each_limit_of_the_rule_is_journalled():
    t = offline()
    t.uplink.stream = None

    def sell_online(amount):
        t.kept.mode = (account.ONLINE, 0, 0)
        return sell(t, amount)[0]

    assert sell_online(5_001) == 314 and outcome(t) == (records.NOT_DEBITED, 314)
    assert sell_online(5_000) is None
    assert sell_online(4_000) is None
    assert sell_online(1_001) == 314, "100.00 a card"
    assert sell_online(500) is None
    assert sell_online(100) == 315 and outcome(t) == (records.NOT_DEBITED, 315), "three times in ten minutes"
    t.wall.time += 3 * 86_400
    assert sell_online(100) == 316 and outcome(t) == (records.NOT_DEBITED, 316)
    assert t.till.day_sum == 9_500


def test_the_mode_lowers_the_limits():
    for told, most in ((account.ONLINE, 5_000), (account.DEGRADED, 3_750), (account.OFFLINE, 2_500)):
        t = offline(mode=told)
        t.uplink.stream = None
        assert sell(t, most + 1)[0] == 314
        t.kept.mode = (told, 0, 0)
        assert sell(t, most)[0] is None


def test_the_allowance_is_the_back_office_s_last_word():
    t = AccountCounter(lambda asked: [answer(asked, 0, allowance=300)])
    assert sell(t)[0] is None
    t.uplink.stream = None
    assert sell(t, 301)[0] == 314
    assert sell(t, 300)[0] is None
    assert sell(t, 1)[0] == 314


def test_provisioned_with_nothing_it_sells_nothing_before_an_answer_grants_it():
    t = offline()
    t.settings.allowance_minor = 0
    t.uplink.stream = None
    assert sell(t, 1)[0] == 314 and t.till.day_sum == 0
    t = AccountCounter(lambda asked: [answer(asked, 303, balance=0, allowance=300)])
    t.settings.allowance_minor = 0
    assert sell(t)[0] == 303
    t.uplink.stream = None
    assert sell(t, 300)[0] is None


def refused_then_offline(decision):
    """What a terminal says when the line goes right after a refusal, and once more after a restart."""
    t = AccountCounter(lambda asked: [answer(asked, decision, balance=0)])
    assert sell(t)[0] == decision
    t.uplink.stream = None
    told = [sell(t, 300)[0]]
    again = AccountCounter(never, t.flash)
    again.uplink.contact = 0
    again.uplink.stream = None
    return told + [sell(again, 300)[0]]


def test_what_the_back_office_refused_is_not_sold_on_when_the_line_is_pulled():
    for decision in (301, 302, 305, 308, 309, 312):
        assert refused_then_offline(decision) == [316, 316], decision
    for decision in (303, 313):
        assert refused_then_offline(decision) == [None, None], "that says nothing of the card"


def test_another_card_and_a_later_approval_are_not_touched_by_a_refusal():
    decisions = [301, 0, 301, 0]
    t = AccountCounter(lambda asked: [answer(asked, decisions.pop(0))])
    assert sell(t)[0] == 301 and sell(t)[0] is None  # it was let go again
    line, t.uplink.stream = t.uplink.stream, None
    assert sell(t, 300)[0] is None
    t.uplink.stream = line
    assert sell(t)[0] == 301
    t.uplink.stream = None
    other = b"90471100001234577" + DIGITS[17:]
    assert sell(t, 300, other)[0] is None and sell(t, 300)[0] == 316
    again = AccountCounter(never, t.flash)
    again.uplink.contact = 0
    again.uplink.stream = None
    assert sell(again, 300)[0] == 316 and sell(again, 300, other)[0] is None
    t.uplink.stream = line
    assert sell(t)[0] is None
    t.uplink.stream = None
    t.wall.time += 700
    assert sell(t, 300)[0] is None
    again = AccountCounter(never, t.flash)
    again.uplink.contact = 0
    again.uplink.stream = None
    again.wall.time = t.wall.time + 700
    assert sell(again, 300)[0] is None, "the newest word counts"


def test_a_refusal_is_forgotten_when_the_day_is_over():
    t = AccountCounter(lambda asked: [answer(asked, 301)])
    assert sell(t)[0] == 301
    t.uplink.stream = None
    t.wall.time += 86_400
    t.uplink.contact = t.wall.time - 60
    assert sell(t, 300)[0] is None


def test_a_restart_gives_back_the_provisioned_allowance_and_nothing_that_was_sold():
    t = AccountCounter(lambda asked: [answer(asked, 0, allowance=300)])
    assert sell(t)[0] is None
    t.uplink.stream = None
    assert sell(t, 300)[0] is None and sell(t, 1)[0] == 314
    again = AccountCounter(never, t.flash)
    again.uplink.contact = 0
    again.uplink.stream = None
    again.settings.allowance_minor = 1_000
    assert sell(again, 701)[0] == 314
    assert sell(again, 700)[0] is None


def test_a_keyed_number_is_never_sold_on_by_the_terminal():
    t = offline()
    t.keys = ["#"]
    assert sell(t, 1, NUMBER, account.KEYED)[0] == 316
    assert outcome(t) == (records.NOT_DEBITED, 316)
    t = AccountCounter()
    t.keys = ["#"]
    assert sell(t, 850, NUMBER, account.KEYED)[0] is None
    _, intent = record(t, 2)
    assert intent[14] == 0 and account.unpack_part(intent[13])[1:3] == (account.KEYED, 0)


def test_a_stripe_that_has_expired_or_names_no_month():
    for month in (b"2611", b"2600", b"2613", b"0001"):
        t = AccountCounter()
        digits = DIGITS[:17] + month + DIGITS[21:]
        t.wall.time = account.end_of_month(b"2611") + 1
        assert sell(t, 850, digits)[0] == 302 and "INTENT" not in t.effects, month


def test_after_a_restart_the_journal_tells_what_was_sold():
    t = offline()
    for amount in (3_000, 2_000):
        assert sell(t, amount)[0] is None
        t.uplink.stream = None
    again = AccountCounter(never, t.flash)
    again.uplink.contact = 0  # nothing heard yet in this life
    again.uplink.stream = None
    contact, sales = account_past.load(again, 0)
    assert contact == NOW - 60
    assert [(time, minor) for time, _, minor in sales] == [(NOW, 2_000), (NOW, 3_000)]
    assert sell(again, 5_001)[0] == 314
    assert sell(again, 5_000)[0] is None, "100.00 a card, of which 50.00 were there"
    assert sell(again, 1)[0] in (314, 315)


def test_a_terminal_that_never_heard_of_anybody_asks_or_refuses():
    t = offline(contact=0)
    t.uplink.stream = None
    assert sell(t)[0] == 316
    t = AccountCounter()
    t.uplink.contact = 0
    assert sell(t)[0] is None and t.uplink.contact == NOW


def test_approved_sales_don_t_count_against_the_rule():
    t = AccountCounter()
    for _ in range(5):
        t.keys = ["#"]
        assert sell(t, 40_000)[0] is None
    t.uplink.stream = None
    assert sell(t, 5_000)[0] is None


def test_the_mode_falls_with_silent_questions_and_every_change_is_a_record():
    t = offline()
    for n in range(7):
        t.uplink = type(t.uplink)(t)  # connected again
        sell(t, 1)
        t.wall.time += 700
        assert t.kept.mode[0] == (mode.ONLINE, mode.DEGRADED, mode.DEGRADED, mode.DEGRADED, mode.OFFLINE, 3, 3)[n]
    told = []
    for serial in range(1, t.journal.next_serial):
        if t.journal.read(serial, t.payload) & 0x7F == records.MODE:
            told.append(records.unpack(records.MODE, t.payload)[1:])
    assert told == [(1, 2, 0, 502), (2, 3, 0, 502)] and t.mode_note == 510


def test_looks_when_idle_follow_uploads_and_the_link():
    t = AccountCounter()
    t.kept.mode = mode.START
    told = []
    for contact, failures, is_up in (
        (NOW, 0, True),
        (NOW + 1, 0, True),
        (NOW + 1, 1, True),
        (NOW + 1, 2, True),
        (NOW + 1, 2, False),
        (NOW + 1, 2, False),
    ):
        t.uplink.contact, t.uplink.failures, t.uplink.trouble, t.is_linked = contact, failures, 504, is_up
        modes.look(t)
        told.append(t.kept.mode[0])
    assert told == [2, 1, 1, 2, 2, 3]
    assert t.mode_note == 510
    kind, values = record(t)
    assert kind == records.MODE and values[1:] == (2, 3, 0, 501)


def test_power_cut_around_every_record():
    """Whatever is on flash last: the next boot finds no sale, an open one for the cashier's word, or a whole one."""
    for says in (None, never, lambda asked: [answer(asked, 303, balance=100)]):
        for cut_at in range(1, 5):
            t = AccountCounter(says)
            t.cut_at = cut_at
            try:
                sell(t)
                raise AssertionError("not cut")
            except Unplugged:
                pass
            again = AccountCounter(says, t.flash)
            kinds = [again.journal.read(serial, again.payload) & 0x7F for serial in range(1, again.journal.next_serial)]
            outcomes = kinds.count(records.COMMITTED) + kinds.count(records.NOT_DEBITED)
            assert (kinds.count(records.INTENT), outcomes) == ((0, 0), (1, 0), (1, 0), (1, 1))[cut_at - 1]
            assert bool(again.till.open) == (cut_at in (2, 3))
            if again.till.open:
                assert again.till.open[5] == account.NO_UID


def test_short_says_what_is_missing():
    t = AccountCounter(lambda asked: [answer(asked, 303, balance=100)])
    t.declined = (5,)  # to split the sale
    try:
        asyncio.run(t.clock.run(account_sale.charge(t, 850, bytearray(DIGITS), account.STRIPE)))
        raise AssertionError("sold")
    except Exception as end:
        assert (end.code, end.argument) == (303, 750)


# --- the PIN


def entered(asked):
    """The PIN in a question, None without one."""
    if asked.ksn == bytes(12):
        return None
    return "".join([str(digit) for digit in asked.block if digit < 10])


def pin_office(pin, tries=3):
    """An account with that PIN, needed above 50.00."""
    state = {"left": tries}

    def says(asked):
        told = entered(asked)
        if told is None:
            decision = 310 if asked.amount > 5_000 else 0
        elif told == pin and state["left"]:
            decision, state["left"] = 0, tries
        else:
            state["left"] = max(state["left"] - 1, 0)
            decision = 311 if state["left"] else 312
        return [answer(asked, decision, left=state["left"])]

    return says


def attempts(t):
    """[(slip, attempt, with a PIN, its key's counter)] of the intents."""
    told = []
    for serial in range(1, t.journal.next_serial):
        if t.journal.read(serial, t.payload) & 0x7F == records.INTENT:
            values = records.unpack(records.INTENT, t.payload)
            part = account.unpack_part(values[13])
            told.append((values[1], values[2], part[4], part[6]))
    return told


def test_a_pin_above_50_and_with_every_keyed_number_and_none_below():
    for amount, digits, entry, asks in (
        (5_000, DIGITS, account.STRIPE, False),
        (5_001, DIGITS, account.STRIPE, True),
        (1, NUMBER, account.KEYED, True),
    ):
        t = AccountCounter(pin_office("8642"))
        t.keys = list("8642#")
        assert sell(t, amount, digits, entry)[0] is None
        assert (38 in t.effects) == asks
        assert [entered(asked) for asked in t.asked] == ["8642" if asks else None]
        assert attempts(t) == [(1, 1, int(asks), int(asks))]


def test_the_pin_is_wiped_once_it_is_enciphered():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("8642#")
    sell(t, 6_000)
    assert t.kept.parts.last == bytes(4)


def test_the_buffers_of_pin_and_number_are_wiped_however_it_ends():
    def broken(t, digits, number):
        numbers.append(number)
        raise Fault(703)

    ask = pin._ask
    for keys, ended, encipher in (("99*8642#", None, None), ("86**", 802, None), ("8642#", 703, broken)):
        buffers, numbers = [], []
        t = AccountCounter(pin_office("8642"))
        t.keys = list(keys)
        real = encipher or t.kept.parts.encipher_pin

        async def noted(t, amount, buffer, buffers=buffers):
            buffers.append(buffer)
            return await ask(t, amount, buffer)

        def enciphered(t, digits, number, real=real, numbers=numbers):
            numbers.append(number)
            assert any(digits) and any(number)
            return real(t, digits, number)

        t.kept.parts.encipher_pin = enciphered
        pin._ask = noted
        try:
            assert sell(t, 6_000)[0] == ended
        finally:
            pin._ask = ask
        assert len(buffers) == 1 and not any(buffers[0])
        assert not any(any(number) for number in numbers)


def test_star_clears_then_cancels_and_nothing_was_written():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("99*8642#")
    assert sell(t, 6_000)[0] is None and entered(t.asked[0]) == "8642"
    t = AccountCounter(pin_office("8642"))
    t.keys = list("99**")
    assert sell(t, 6_000)[0] == 802 and "INTENT" not in t.effects and t.pins == 0


def test_too_short_or_too_long_is_not_taken():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("864#2#")
    assert sell(t, 6_000)[0] is None and "beep 1" in t.effects
    t = AccountCounter(pin_office("123456789012"))
    t.keys = list("1234567890123#")
    assert sell(t, 6_000)[0] is None and entered(t.asked[0]) == "123456789012"


def test_a_customer_without_a_pin_presses_the_key_at_once():
    t = AccountCounter()
    t.keys = ["#"]
    assert sell(t, 6_000)[0] is None
    assert entered(t.asked[0]) is None and t.pins == 0


def test_wrong_pins_are_attempts_at_one_slip_until_the_lock():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("1111#2222#3333#")
    assert sell(t, 6_000)[0] == 312
    assert attempts(t) == [(1, 1, 1, 1), (1, 2, 1, 2), (1, 3, 1, 3)]
    assert [effect for effect in t.effects if effect in (311, "NOT_DEBITED", "COMMITTED")] == [
        "NOT_DEBITED",
        311,
        "NOT_DEBITED",
        311,
        "NOT_DEBITED",
    ]
    assert outcome(t) == (records.NOT_DEBITED, 312) and t.till.day_sum == 0
    assert t.till.next_slip == 2


def test_the_second_pin_is_right():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("1111#8642#")
    assert sell(t, 6_000)[0] is None
    assert outcome(t) == (records.COMMITTED, 0) and t.till.day_sum == 6_000 and t.till.day_count == 1


def test_an_account_that_wants_one_below_50_gets_it():
    t = AccountCounter(lambda asked: [answer(asked, 0 if entered(asked) else 310)])
    t.keys = list("8642#")
    assert sell(t, 100)[0] is None
    assert attempts(t) == [(1, 1, 0, 0), (1, 2, 1, 1)]


def test_who_never_enters_one_is_refused_in_the_end():
    t = AccountCounter(pin_office("8642"))
    t.keys = list("####")
    assert sell(t, 6_000)[0] == 310 and len(attempts(t)) == 4
    assert outcome(t) == (records.NOT_DEBITED, 310)


def test_no_pin_is_asked_for_when_nobody_can_check_it_and_none_is_trusted_here():
    t = offline()
    t.uplink.stream = None
    assert sell(t, 6_000)[0] == 314 and 38 not in t.effects
    t = offline()  # the line dies behind the PIN
    t.keys = list("8642#")
    assert sell(t, 6_000)[0] == 314 and 38 in t.effects
    t.uplink = type(t.uplink)(t)
    t.keys = list("8642#")
    assert sell(t, 100, NUMBER, account.KEYED)[0] == 316
