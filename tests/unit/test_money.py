from kassette import money


def test_minor_units_become_text():
    assert money.text(0) == "0.00"
    assert money.text(5) == "0.05"
    assert money.text(123456) == "1234.56"
    assert money.text(-7) == "-0.07"
    assert money.text(-100) == "-1.00"
