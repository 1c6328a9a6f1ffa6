"""The NOR model: it clears and erases as the chip does, tears as a cut does, and is the same from the same seed."""

from ram_nor import (
    ERASE_ERROR,
    ERASE_IGNORED,
    ERASE_TEARS,
    PROGRAM_ERROR,
    PROGRAM_IGNORED,
    PROGRAM_TEARS,
    NorMisuse,
    PowerCut,
    RamNor,
)

from kassette.errors import Fault

DATA = bytes(range(128))


def read(flash, at, n=128):
    buffer = bytearray(n)
    flash.read(at, buffer)
    return bytes(buffer)


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return getattr(error, "code", True)
    return False


def torn(tear, chunk=1, seed=5, kind="program"):
    """What a cut leaves of a program of zeros, or of an erase of zeros."""
    flash = RamNor(2, seed=seed)
    if kind == "erase":
        flash.program(0, bytes(4096))
    flash.cut_at(chunk, tear)
    assert raises(PowerCut, flash.program, 0, bytes(128)) if kind == "program" else raises(PowerCut, flash.erase, 0)
    return flash


def zeros(data):
    return sum(bin(0x100 | byte ^ 0xFF).count("1") - 1 for byte in data)


def test_a_program_clears_bits_and_an_erase_sets_them():
    flash = RamNor(2)
    flash.program(256, b"\x0f\xff")
    flash.program(256, b"\x07\xf0")
    assert read(flash, 256, 2) == b"\x07\xf0"
    flash.erase(0)
    assert read(flash, 256, 2) == b"\xff\xff"
    assert flash.is_blank(0, 8192)


def test_a_program_that_needs_a_one_is_a_bug():
    flash = RamNor(1)
    flash.program(0, b"\x00")
    assert raises(NorMisuse, flash.program, 0, b"\x01")


def test_outside_is_a_bug():
    flash = RamNor(1)
    for call in (
        (flash.program, 4095, b"12"),
        (flash.read, -1, bytearray(1)),
        (flash.erase, 1),
        (flash.is_blank, 0, 4097),
    ):
        assert raises(NorMisuse, *call)


def test_everything_is_counted():
    flash = RamNor(2)
    flash.program(60, DATA)
    flash.erase(1)
    read(flash, 0, 40)
    assert (flash.programs, flash.bytes_programmed, flash.erases, flash.erase_counts) == (1, 128, 1, [0, 1])
    assert (flash.reads, flash.bytes_read) == (1, 40)
    assert flash.events == 4  # a program from byte 60 on touches three chunks


def test_a_cut_comes_at_the_chunk_that_was_asked_for():
    whole_first = torn(0, chunk=2)
    assert zeros(read(whole_first, 0)) == 512
    assert zeros(read(whole_first, 64, 64)) == 0
    assert zeros(read(torn(0), 0)) == 0


def test_each_tear_of_a_program_leaves_what_it_says():
    left = [zeros(read(torn(tear), 0, 64)) for tear in range(len(PROGRAM_TEARS))]
    assert left[0] == 0
    assert left[1] == 512
    assert left[2] % 8 == 0 and 0 <= left[2] < 512
    assert 200 < left[3] < 312
    assert 470 < left[4] < 512
    assert left[6] == 1
    firm = torn(5).memory
    assert 509 <= zeros(firm[:64]) < 512
    assert zeros(torn(7).memory[:64]) == 0


def test_each_tear_of_an_erase_leaves_what_it_says():
    left = [zeros(bytes(torn(tear, kind="erase").memory[:4096])) for tear in range(len(ERASE_TEARS))]
    assert left[0] == 32768
    assert 0.6 < left[1] / 32768 < 0.8
    assert left[2] == 16384
    assert 0 < left[3] <= 33
    assert left[4] == 32768
    assert left[5] == 32768
    assert 0.45 < left[6] / 32768 < 0.55
    assert left[7] == 0


def test_zeros_first_is_what_an_erase_begins_with():
    flash = RamNor(1, seed=3)
    flash.cut_at(1, 4)
    assert raises(PowerCut, flash.erase, 0)
    assert read(flash, 0) == bytes(128)


def test_unstable_bits_read_as_they_like_until_they_are_settled():
    flash = torn(5)
    seen = {read(flash, 0, 64) for _ in range(60)}
    assert len(seen) > 1
    flash.program(0, bytes(64))
    assert flash.unstable == {}
    assert read(flash, 0, 64) == bytes(64)
    flash = torn(7)
    flash.erase(0)
    assert {read(flash, 0, 64) for _ in range(20)} == {b"\xff" * 64}


def test_an_unstable_bit_that_should_stay_one_stays_unstable():
    flash = RamNor(1)
    flash.unsettle(10, 0x81)
    flash.program(10, b"\x7f")
    assert flash.unstable == {10: 0x01}


def test_stuck_bits_stay():
    flash = RamNor(1)
    flash.stick(3, 0x10, 0)
    flash.stick(5, 0x01, 1)
    flash.program(0, bytes(8))
    assert read(flash, 0, 8) == b"\0\0\0\0\0\x01\0\0"
    flash.erase(0)
    assert read(flash, 0, 8) == b"\xff\xff\xff\xef\xff\xff\xff\xff"


def test_worn_sectors_ignore_or_refuse():
    flash = RamNor(2)
    flash.program(0, b"\0")
    flash.wear_out(0, PROGRAM_IGNORED + ERASE_IGNORED)
    flash.program(1, b"\0")
    flash.erase(0)
    assert read(flash, 0, 2) == b"\0\xff"
    flash.wear_out(0, PROGRAM_ERROR + ERASE_ERROR)
    assert raises(Fault, flash.program, 0, b"\0") == 406
    assert raises(Fault, flash.erase, 0) == 407
    flash.program(4096, b"\0")
    assert read(flash, 4096, 1) == b"\0"


def test_the_same_seed_tears_the_same():
    for tear in range(8):
        assert torn(tear, seed=9).memory == torn(tear, seed=9).memory
        assert torn(tear, seed=9).unstable == torn(tear, seed=9).unstable
    assert torn(3, seed=9).memory != torn(3, seed=10).memory


def test_a_hook_counts_events_and_may_order_the_cut():
    flash = RamNor(1, seed=1)
    seen = []

    def plug(kind):
        seen.append(kind)
        if len(seen) == 3:
            raise PowerCut(kind, 3)

    flash.on_event = plug
    flash.tear = 1
    flash.erase(0)
    assert raises(PowerCut, flash.program, 0, bytes(128))
    assert seen == ["erase", "program", "program"]
    assert read(flash, 0) == bytes(128)
