"""A reader on a serial port in the virtual one's place: the same firmware, the bytes of somebody else's PN532."""

import pytest
from reader_on_pty import in_real_time, reader_on_pty
from shop_process import wait_for

from kassette_host.shop.commands import Command
from kassette_host.shop.site import Plan, ShopError
from kassette_host.shop.starts import open_site
from kassette_host.shop.till import Till

_SELECT = bytes.fromhex("5a4b5354")


def ask_for_a_balance(till, refusals):
    """Press A; the log's newest line when the idle screen is there again."""
    wait_for(till.feed, lambda parts: "A bal." in parts["screen"]["text"])
    before = len(till.feed.parts["log"])
    for name in ("key_down", "key_up"):
        till.post(Command(name, {"key": "A"}), refusals.append)
    return wait_for(till.feed, lambda parts: len(parts["log"]) > before and "flow" in parts["log"][-1])["log"][-1]


@in_real_time
def test_the_firmware_speaks_to_a_reader_on_a_serial_port(tmp_path_factory):
    refusals = []
    with reader_on_pty() as reader:
        site = open_site(tmp_path_factory.mktemp("shop"), "keyed", Plan(reader.path, terminal_port=0))
        till = Till(site, lambda line: None, lambda: None)
        till.start()
        try:
            wait_for(till.feed, lambda parts: "A bal." in parts["screen"]["text"])
            assert till.feed.parts["reader"]["real"] == reader.path
            # the card on that reader belongs to another issuer: it is found, selected and refused
            while "202" not in ask_for_a_balance(till, refusals):
                assert "flow 101 0" in till.feed.parts["log"][-1], "only a machine that is too busy is an excuse"
            till.post(Command("card_put", {"card": 1}), refusals.append)
            reader.stop()  # the cable is out: the terminal goes on, with a code
            while "101" not in ask_for_a_balance(till, refusals):
                assert "flow 110" in till.feed.parts["log"][-1], "what was still on the line"
        finally:
            till.stop()
            site.close()
        assert [refusal.code for refusal in refusals] == ["real-reader"]
        assert _SELECT in reader.trace(">")


def test_a_port_that_is_none_is_told(tmp_path):
    with pytest.raises(ShopError, match="no reader on /dev/nothing"):
        open_site(tmp_path, "keyed", Plan("/dev/nothing"))
