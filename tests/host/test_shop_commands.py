"""What the counter page may ask: every command to the last field, and every way to ask wrongly."""

import json
import re

import pytest

from kassette_host import ROOT
from kassette_host.shop.commands import COMMANDS, MAX_LEN, Refusal, parse
from kassette_host.shop.hands import DEEDS

GOOD = {
    "key_down": {"key": "5"},
    "key_up": {"key": "#"},
    "card_put": {"card": 1},
    "card_take": {"card": 8},
    "swipe": {"stripe": 1, "path": [[0, -150], [140, 1006]]},
    "fill": {"stripe": 1, "amount": 5000},
    "new_card": {},
    "top_up": {"card": 3, "amount": 5000},
    "paper": {"loaded": False},
    "tear_off": {"slip": 12},
    "network": {"state": "silent"},
    "plug": {"state": "arm"},
    "tear": {"command": 8, "lost": "after"},
    "provision": {},
}


def refused(message):
    with pytest.raises(Refusal) as caught:
        parse(message if isinstance(message, str) else json.dumps(message))
    return caught.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_taken_as_it_is(name):
    command = parse(json.dumps({"cmd": name, **GOOD[name]}))
    assert (command.name, command.args) == (name, GOOD[name])


def test_each_command_has_a_hand_that_does_it_with_the_same_fields():
    assert set(DEEDS) == set(COMMANDS)
    for name, deed in DEEDS.items():
        assert deed.__code__.co_varnames[1 : deed.__code__.co_argcount] == tuple(COMMANDS[name]), name


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_an_odd_and_an_additional_field_are_refused(name):
    good = GOOD[name]
    for field in good:
        assert refused({"cmd": name, **{k: v for k, v in good.items() if k != field}}) == "bad-field"
        for odd in (
            None,
            "",
            "x",
            "55",
            -1,
            1e9,
            1.5,
            1 << 40,
            True if field != "loaded" else 1,
            [],
            {},
            [good[field]],
        ):
            assert refused({"cmd": name, **good, field: odd}) == "bad-field", (field, odd)
    assert refused({"cmd": name, **good, "more": 1}) == "bad-field"


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"cmd"', "5", "NaN", "[" * 500, '{"cmd":' * 100])
def test_what_is_no_object_is_refused(text):
    assert refused(text) == "not-json"


@pytest.mark.parametrize("name", ["", "reboot", "__init__", None, 5, [], {"cmd": "plug"}, "KEY_DOWN"])
def test_unknown_commands_are_refused(name):
    assert refused({"cmd": name}) == "unknown-command"


def test_a_long_message_is_refused_before_it_is_parsed():
    assert refused('{"cmd": "provision"' + " " * MAX_LEN + "}") == "too-long"


def test_a_refusal_repeats_no_more_than_a_name_of_what_was_sent():
    with pytest.raises(Refusal) as caught:
        parse(json.dumps({"cmd": "provision", "x" * 500: 1}))
    assert len(caught.value.text) < 120


def test_the_readme_names_every_command_and_every_refusal():
    text = (ROOT / "host_tools/README.md").read_text()
    shop = "".join(path.read_text() for path in (ROOT / "host_tools/kassette_host/shop").glob("*.py"))
    codes = set(re.findall(r'Refusal\(\s*"([a-z-]+)"', shop))
    assert len(codes) >= 14
    missing = [name for name in [*COMMANDS, *codes] if "`%s`" % name not in text]
    assert not missing


def test_what_is_said_about_a_field_with_an_odd_name_can_be_sent():
    with pytest.raises(Refusal) as caught:
        parse('{"cmd": "card_put", "card": 1, "\\ud800": 1}')
    assert caught.value.code == "bad-field" and "ud800" in caught.value.text
    caught.value.text.encode()  # half a surrogate pair is no text
