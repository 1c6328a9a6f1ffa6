"""libnfc's own program against the virtual reader: it is the judge. Its frames are the vectors of the firmware's codec."""

import json
import pathlib

import pytest
from reader_on_pty import in_real_time, reader_on_pty, run_on, split_frames
from tools import need

pytestmark = pytest.mark.peer

VECTORS = pathlib.Path("tests/vectors/pn532_libnfc_frames.json")
SOURCE = (
    "written by libnfc 1.8.0 and libfreefare 0.4.0 (Debian 12: nfc-list -v, mifare-desfire-info) to a virtual PN532; "
    "recorded by pytest tests/peer/test_libnfc.py --golden"
)


@in_real_time
def test_nfc_list_names_the_card():
    need("nfc-list", "libnfc-bin")
    with reader_on_pty() as reader:
        text = run_on(reader, "nfc-list", "-v")
    assert "1 ISO14443A passive target(s) found" in text
    assert "UID (NFCID1): 04  11  22  33  44  55  66" in text
    assert "ATS: 75  77  81  02  80" in text
    assert "MIFARE DESFire EV1" in text
    for kind in ("Felica (212 kbps)", "Felica (424 kbps)", "ISO14443B", "ISO14443A-3 Jewel"):
        assert "0 %s passive target(s) found" % kind in text


@in_real_time
def test_nfc_list_sees_an_empty_field():
    need("nfc-list", "libnfc-bin")
    with reader_on_pty("--empty") as reader:
        assert "0 ISO14443A passive target(s) found" in run_on(reader, "nfc-list", "-v")


def data_of(frame):
    """What a command frame carries, from D4 on; empty for a wake-up sequence or an ACK."""
    at = 8 if frame[3:5] == b"\xff\xff" else 5
    return frame[at:-2] if frame[at : at + 1] == b"\xd4" else b""


def recorded(program, *options):
    with reader_on_pty() as reader:
        run_on(reader, program, *options)
        frames = split_frames(reader.trace(">"))
    unique = dict.fromkeys(frames)
    name = " ".join([program, *options])
    return [{"program": name, "frame": frame.hex(), "data": data_of(frame).hex()} for frame in unique]


@in_real_time
def test_frames_of_libnfc_are_the_recorded_ones(request):
    need("nfc-list", "libnfc-bin")
    need("mifare-desfire-info", "libfreefare-bin")
    frames = recorded("nfc-list", "-v") + recorded("mifare-desfire-info")
    if request.config.getoption("--golden"):
        VECTORS.write_text(json.dumps({"source": SOURCE, "frames": frames}, indent=1) + "\n")
    assert json.loads(VECTORS.read_text())["frames"] == frames
