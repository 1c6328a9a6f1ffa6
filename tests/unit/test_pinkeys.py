from pin_cuts import INITIAL, TERMINAL, Life, cut_and_check
from ram_nor import ERASE_ERROR, ERASE_IGNORED, PROGRAM_ERROR, PROGRAM_IGNORED, PROGRAM_TEARS, RamNor

from kassette.codec import dukpt
from kassette.errors import Fault
from kassette.store.pinkeys import PinKeys


def code_of(flash, terminal=TERMINAL):
    try:
        PinKeys(flash, terminal).take()
    except Fault as fault:
        return fault.code


def test_counters_one_after_the_other_through_all_sectors():
    life = Life()
    erases = life.flash.erases
    for expected in range(1, 400):
        assert life.pin() == expected
    assert life.flash.erases - erases >= 4, "it moves to another sector again and again"
    assert max(life.flash.erase_counts) - min(life.flash.erase_counts[1:]) <= 1


def test_the_key_serial_number_names_terminal_and_provisioning():
    _, serial = PinKeys(Life().flash, TERMINAL).take()
    assert serial == dukpt.initial_key_id(TERMINAL, 1, 1) + b"\0\0\0\1"


def test_no_key_of_before_can_be_made_from_what_is_left():
    """Every register that is left leads to later counters only, and the initial key is nowhere."""
    life = Life()
    for _ in range(100):
        life.pin()
    found = []
    for at in range(0, life.flash.size, dukpt.RECORD_LEN):
        record = life.flash.memory[at : at + dukpt.RECORD_LEN]
        opened = dukpt.open_register(record, TERMINAL)
        assert opened or bytes(record) in (b"\xff" * 32, bytes(32)), at
        if opened:
            found.append(opened[0])
    assert min(found) == 101 and len(found) == len(set(found))
    assert life.flash.memory.find(INITIAL) < 0


def test_never_loaded_or_all_used_up():
    assert code_of(RamNor(4)) == 703
    flash = RamNor(4)
    record = bytearray(dukpt.RECORD_LEN)
    dukpt.seal(record, INITIAL, 0xFFFFFFFF >> 15, TERMINAL, 1, 1)  # 17 ones: nothing follows
    flash.program(0, record)
    assert code_of(flash) is None
    assert code_of(flash) == 703


def test_another_terminals_registers_are_not_used():
    life = Life()
    assert code_of(life.flash, TERMINAL + 1) == 703
    assert bytes(life.flash.memory[: 32 * dukpt.RECORD_LEN]) == bytes(32 * dukpt.RECORD_LEN)


def test_a_newer_format_is_left_alone():
    flash = RamNor(4)
    record = bytearray(dukpt.RECORD_LEN)
    dukpt.seal(record, INITIAL, 1, TERMINAL, 1, 1)
    record[25] = 2
    record[26:] = dukpt._check(record, TERMINAL)
    flash.program(0, record)
    assert code_of(flash) == 403
    assert flash.memory[: len(record)] == record


def test_flash_that_does_not_forget_gives_no_key():
    for how in (PROGRAM_IGNORED, PROGRAM_ERROR):
        life = Life()
        life.flash.wear_out(0, how)
        assert code_of(life.flash) == 406
        life.flash.wear_out(0, 0)
        assert life.pin() == 1


def test_a_sector_that_does_not_erase_is_passed_over():
    for how in (ERASE_IGNORED, ERASE_ERROR):
        life = Life()
        life.flash.program(4096 + 100, b"\0")
        life.flash.wear_out(1, how)
        for expected in range(1, 260):
            assert life.pin() == expected
    life = Life()
    for sector in (1, 2, 3):
        life.flash.program(4096 * sector + 100, b"\0")
        life.flash.wear_out(sector, ERASE_ERROR)
    while True:
        counter = life.given + 1
        try:
            life.pin()
        except Fault as fault:
            assert fault.code == 407
            break
    for sector in (1, 2, 3):
        life.flash.wear_out(sector, 0)
    assert life.pin() == counter


def test_a_place_that_keeps_no_ones_is_passed_over():
    life = Life()
    life.flash.stick(33 * dukpt.RECORD_LEN + 5, 0xFF, 0)
    life.flash.stick(34 * dukpt.RECORD_LEN + 5, 0xFF, 0)
    for expected in range(1, 40):
        assert life.pin() == expected


def test_a_rotten_register_costs_its_own_keys_only():
    life = Life()
    life.pin()
    at = life.flash.memory.find(life.register(4))
    life.flash.memory[at] ^= 1
    assert [life.pin() for _ in range(3)] == [2, 3, 8]


def test_cuts_of_some_pins():
    """A sample of tests/host/test_pinkeys_cuts.py: the first PIN, one with many successors, and one that moves."""
    cases = 0
    life = Life()
    for pins in (0, 7, 31, 95):
        while life.pins < pins:
            life.pin()
        event = 1
        while cut_and_check(life, event, 0):
            for pattern in range(1, len(PROGRAM_TEARS)):
                if (event + pattern) % 8 == 0:
                    assert cut_and_check(life, event, pattern)
                    cases += 1
            event += 1
            cases += 1
    assert cases > 100
