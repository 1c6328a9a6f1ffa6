"""A reader on a serial port in the virtual one's place: the same firmware, the bytes of somebody else's PN532."""

import pytest
from reader_on_pty import in_real_time, reader_on_pty
from shop_process import wait_for

from kassette_host.shop.commands import Command
from kassette_host.shop.site import Plan, ShopError
from kassette_host.shop.starts import open_site
from kassette_host.shop.till import Till

_SELECT = bytes.fromhex("5a4b5354")


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
            for name in ("key_down", "key_up"):
                till.post(Command(name, {"key": "A"}), refusals.append)
            # the card on that reader belongs to another issuer: it is found, selected and refused
            wait_for(till.feed, lambda parts: "202" in parts["screen"]["text"])
            till.post(Command("card_put", {"card": 1}), refusals.append)
            wait_for(till.feed, lambda parts: "A bal." in parts["screen"]["text"])
        finally:
            till.stop()
            site.close()
            reader.stop()
        assert [refusal.code for refusal in refusals] == ["real-reader"]
        assert _SELECT in reader.trace(">")


def test_a_port_that_is_none_is_told(tmp_path):
    with pytest.raises(ShopError, match="no reader on /dev/nothing"):
        open_site(tmp_path, "keyed", Plan("/dev/nothing"))
