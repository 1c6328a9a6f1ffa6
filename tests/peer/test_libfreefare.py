"""libfreefare's programs and library against the virtual card: every MAC and cryptogram is checked by foreign code."""

import ctypes.util
import json
import subprocess
import sys

import pytest
from reader_on_pty import UID, in_real_time, reader_on_pty, run_on
from tools import need

from kassette_host.cards.an10922 import purse_key
from kassette_host.cards.layout import DEBIT_KEY, Record
from kassette_host.cards.personalise import read_card
from kassette_host.virtual.desfire import activate
from kassette_host.virtual.pn532_pty import OPENING_MINOR, PUBLIC_MASTERS

pytestmark = pytest.mark.peer


@in_real_time
def test_mifare_desfire_info():
    need("mifare-desfire-info", "libfreefare-bin")
    with reader_on_pty() as reader:
        text = run_on(reader, "mifare-desfire-info")
    assert "UID:                      0x04112233445566" in text
    assert "Storage size:         0x18 (=4096 bytes)" in text
    assert "Master Key settings (0x0f)" in text
    assert "Free memory: 4" in text


@in_real_time
def test_a_factory_card_takes_an_ndef_message_and_is_formatted_again(tmp_path):
    """The legacy scheme: DES authentication, key change, MACed writes over several frames, FormatPICC."""
    need("mifare-desfire-create-ndef", "libfreefare-bin")
    message = bytes(range(256))
    (tmp_path / "in").write_bytes(message)
    with reader_on_pty("--factory") as reader:
        run_on(reader, "mifare-desfire-create-ndef", "-y")
        run_on(reader, "mifare-desfire-write-ndef", "-y", "-i", str(tmp_path / "in"))
        run_on(reader, "mifare-desfire-read-ndef", "-y", "-o", str(tmp_path / "out"))
        reader.stop()
        assert len(reader.card().applications) == 1
    assert (tmp_path / "out").read_bytes() == message
    with reader_on_pty("--factory") as reader:
        run_on(reader, "mifare-desfire-create-ndef", "-y")
        run_on(reader, "mifare-desfire-format", "-y")
        reader.stop()
        assert reader.card().applications == {}


@in_real_time
def test_a_sale_through_libfreefare():
    need("mifare-desfire-info", "libfreefare-bin")
    assert ctypes.util.find_library("freefare"), "libfreefare0 comes with libfreefare-bin"
    amount = 1234
    record = Record(1, 7, 1, 42, 1, amount, OPENING_MINOR - amount, 1_790_000_000, b"tag56")
    key = purse_key(PUBLIC_MASTERS[DEBIT_KEY], UID, DEBIT_KEY, 1)
    with reader_on_pty() as reader:
        command = [
            sys.executable,
            "tests/peer/freefare_sale.py",
            reader.path,
            key.hex(),
            str(amount),
            record.pack().hex(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        reader.stop()
        contents = read_card(activate(reader.card()), UID, PUBLIC_MASTERS)
    said = json.loads(done.stdout)
    assert said == {"before": OPENING_MINOR, "after": OPENING_MINOR - amount, "newest": record.pack().hex()}
    assert contents.balance == OPENING_MINOR - amount
    assert contents.records[1:] == [record]
