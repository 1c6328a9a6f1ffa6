"""The mode: it follows the line, and doesn't flap with it."""

from kassette.policy.mode import DEGRADED, OFFLINE, ONLINE, START, after_exchange, after_look


def after(state, *faults):
    for fault in faults:
        state = after_exchange(state, fault)
    return state


def looks(state, count, is_up=True, age_s=0):
    for _ in range(count):
        state = after_look(state, is_up, age_s)
    return state


_UP = after(START, 0, 0)


def test_a_terminal_starts_offline_and_two_answers_bring_it_online():
    assert START[0] == OFFLINE
    assert after(START, 0)[0] == DEGRADED
    assert _UP[0] == ONLINE


def test_failed_exchanges_take_it_down_step_by_step():
    assert [after(_UP, *[502] * n)[0] for n in range(7)] == [ONLINE] * 2 + [DEGRADED] * 3 + [OFFLINE] * 2


def test_one_answer_among_failures_is_no_way_up():
    state = after(_UP, *[502] * 5)
    for _ in range(20):
        state = after(state, 0, 502)
        assert state[0] == DEGRADED, "one in two is not online"
    assert after(state, 0, 0)[0] == ONLINE


def test_one_failure_among_answers_is_no_way_down():
    state = _UP
    for _ in range(50):
        state = after(state, 502, 0)
        assert state[0] == ONLINE


def test_a_link_that_is_down():
    assert [looks(_UP, n, False)[0] for n in range(4)] == [ONLINE, DEGRADED, DEGRADED, OFFLINE]
    assert looks(_UP, 100_000, False) == looks(_UP, 3, False), "nothing grows without end"
    assert looks(looks(_UP, 2, False), 1, True)[0] == DEGRADED, "that it stands again is no answer yet"


def test_silence_alone_takes_it_down_too():
    assert looks(_UP, 1, True, 899)[0] == ONLINE
    assert looks(_UP, 1, True, 900)[0] == DEGRADED
    assert looks(_UP, 1, True, 3600)[0] == OFFLINE
    assert after(looks(_UP, 1, True, 900), 0)[0] == DEGRADED, "from there two answers lead up again"


def test_whatever_comes_the_state_is_one_of_three_and_small():
    state = START
    draw = 1
    for _ in range(5000):
        draw = draw * 1103515245 + 12345 & 0x7FFFFFFF
        kind = draw >> 16 & 7
        was = state[0]
        if kind < 3:
            state = after_exchange(state, 0)
            assert state[0] <= was
        elif kind < 5:
            state = after_exchange(state, 502)
            assert state[0] >= was
        else:
            state = after_look(state, kind & 1 > 0, draw >> 8 & 0xFFF)
            assert state[0] >= was
        assert state[0] in (ONLINE, DEGRADED, OFFLINE) and state[1] <= 2 and state[2] <= 15
