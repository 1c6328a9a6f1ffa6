"""Reader and card health: which of the two is told to be at fault."""

from kassette.policy.stripes import CLEAN_SLOT, FINE, REPLACE_CARD, health

_AGAIN, _OURS = 2, 4


def hints(*swipes):
    state = (0, 0, 0)
    found = []
    for verdict, noise in swipes:
        state, hint = health(state, verdict, noise)
        found.append(hint)
    return found


def test_good_swipes_and_a_slip_of_the_hand():
    assert hints(*[(_OURS, 200)] * 50) == [FINE] * 50
    assert hints(*[(_OURS, 200), (_OURS, 250), (_AGAIN, 0), (_AGAIN, 0), (_OURS, 300)] * 4) == [FINE] * 20


def test_one_card_that_fails_three_times_is_the_card_s_fault():
    found = hints(*[(_OURS, 150)] * 5, *[(_AGAIN, 0)] * 3, (_OURS, 150))
    assert found == [FINE] * 7 + [REPLACE_CARD, FINE]


def test_one_noisy_card_among_clean_ones():
    assert hints((_OURS, 150), (_OURS, 1100), (_OURS, 150)) == [FINE, REPLACE_CARD, FINE]


def test_every_card_noisy_is_the_slot_s_fault():
    found = hints(*[(_OURS, 850)] * 20)
    assert found[0] == FINE and found[-1] == CLEAN_SLOT and REPLACE_CARD not in found
    found = hints(*[(_OURS, 850)] * 20, (_OURS, 1100))
    assert found[-1] == CLEAN_SLOT


def test_most_swipes_failing_is_the_slot_s_fault_and_cleaning_helps():
    found = hints(*[(_AGAIN, 0)] * 8)
    assert found[2] == REPLACE_CARD and found[-1] == CLEAN_SLOT
    found = hints(*[(_AGAIN, 0)] * 12, *[(_OURS, 150)] * 12)
    assert found[12] == CLEAN_SLOT and found[-1] == FINE
