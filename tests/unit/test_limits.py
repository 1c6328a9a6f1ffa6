from kassette.errors import FlowEnd
from kassette.policy import limits


def ends(function, *arguments):
    try:
        function(*arguments)
    except FlowEnd as end:
        return end.code, end.argument
    return None


def test_amounts():
    assert ends(limits.check_amount, 1, 100) is None
    assert ends(limits.check_amount, 100, 100) is None
    assert ends(limits.check_amount, 0, 100) == (304, 0)
    assert ends(limits.check_amount, 101, 100) == (305, 100)


def test_state_comes_before_expiry_and_class():
    assert ends(limits.check_card, 0, 0, 1000, 1000) is None
    assert ends(limits.check_card, 1, 7, 1000, 2000) == (301, 0)
    assert ends(limits.check_card, 0, 7, 1000, 1001) == (302, 0)
    assert ends(limits.check_card, 0, 1, 1000, 1000) == (306, 0)
