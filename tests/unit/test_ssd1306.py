"""The OLED driver: the panel shows the frame, and only what changed is sent."""

import asyncio

from i2c_panel import I2cPanel

from kassette.drivers.ssd1306 import Display
from kassette.errors import Fault


def started():
    panel = I2cPanel()
    display = Display(panel)
    asyncio.run(display.start())
    return panel, display


def pages_sent(panel, since):
    return [transfer for transfer in panel.transfers[since:] if transfer[0] == 0x40]


def test_nothing_is_sent_before_the_start():
    panel = I2cPanel()
    Display(panel)
    assert panel.transfers == []


def test_start_sets_the_chip_up_and_darkens_it():
    panel, _ = started()
    commands = panel.commands
    assert commands[0] == 0xAE and 0x8D in commands and 0xAF in commands
    assert commands.index(0x20) < commands.index(0xAF)
    assert panel.memory == bytearray(1024)


def test_show_brings_the_frame_to_the_panel():
    panel, display = started()
    display.frame.fill_rect(5, 3, 100, 50, 1)
    display.show()
    expected = bytearray(1024)
    for y in range(3, 53):
        for x in range(5, 105):
            expected[128 * (y // 8) + x] |= 1 << y % 8
    assert panel.memory == expected


def test_only_pages_that_changed_are_sent():
    panel, display = started()
    before = len(panel.transfers)
    display.show()
    assert len(panel.transfers) == before
    display.frame.pixel(127, 63, 1)
    display.show()
    sent = pages_sent(panel, before)
    assert len(sent) == 1 and len(sent[0]) == 129 and sent[0][128] == 0x80
    assert panel.memory[1023] == 0x80


def test_the_control_byte_never_gets_into_the_picture():
    panel, display = started()
    display.frame.fill(1)
    display.show()
    assert panel.memory == bytearray(b"\xff" * 1024)
    display.frame.fill_rect(0, 8, 128, 8, 0)
    display.show()
    display.frame.pixel(0, 0, 0)
    display.show()
    expected = bytearray(b"\xff" * 128 + b"\0" * 128 + b"\xff" * 768)
    expected[0] = 0xFE
    assert panel.memory == expected


def test_a_missing_display_is_a_fault_at_the_start():
    panel = I2cPanel()
    panel.is_there = False
    try:
        asyncio.run(Display(panel).start())
    except Fault as fault:
        assert fault.code == 605
    else:
        raise AssertionError("a display out of nothing")


def test_a_display_that_comes_later_is_set_up_then():
    panel = I2cPanel()
    panel.is_there = False
    display = Display(panel)
    display.frame.fill(1)
    display.show()  # no exception: a sale goes on without a screen
    panel.is_there = True
    display.show()
    assert 0xAF in panel.commands
    assert panel.memory == bytearray(b"\xff" * 1024)


def test_a_display_that_drops_out_at_any_transfer_is_repaired_by_the_next_show():
    for n in range(18):
        panel, display = started()
        display.frame.fill(1)
        panel.fails_at = n
        display.show()
        panel.fails_at = None
        panel.is_there = True
        panel.memory = bytearray(b"\x55" * 1024)  # it lost its power
        display.show()
        display.frame.pixel(0, 0, 0)
        display.show()
        expected = bytearray(b"\xff" * 1024) if n < 16 else bytearray(b"\x55" * 1024)
        expected[0] = 0xFE
        if n >= 16:  # every page had been sent: the driver can't know
            expected[1:128] = b"\xff" * 127
        assert panel.memory == expected, n


def test_stop_switches_the_panel_off_and_show_on_again():
    panel, display = started()
    display.stop()
    assert panel.commands[-1] == 0xAE
    display.show()
    assert panel.commands[-1] != 0xAE and 0xAF in panel.commands[-26:]
    panel.is_there = False
    display.stop()
