"""nfcpy against the virtual reader: extended frames, a change of rate, registers, and ISO-DEP done by the host."""

import json
import pathlib
import subprocess
import sys

import pytest
from reader_on_pty import UID, in_real_time, reader_on_pty, split_frames

from kassette_host.virtual.hsu import ACK

pytestmark = pytest.mark.peer

VECTORS = pathlib.Path("tests/vectors/pn532_nfcpy_frames.json")
SOURCE = "written by nfcpy 1.0.4 to a virtual PN532; recorded by pytest tests/peer/test_nfcpy.py --golden"

PROGRAM = """
import json, sys, time
import nfc.clf, nfc.clf.pn532, nfc.clf.transport

transport = nfc.clf.transport.TTY(sys.argv[1])
clf = nfc.clf.ContactlessFrontend()
clf.device = nfc.clf.pn532.init(transport)
deadline = time.monotonic() + 30
said = {"chip": clf.device.chipset_name, "baud": transport.baudrate}

def on_connect(tag):
    said["tag"] = type(tag).__name__
    said["uid"] = tag.identifier.hex()
    said["ndef"] = tag.ndef is not None
    said["present"] = tag.is_present
    said["version"] = tag.transceive(b"\\x60").hex()
    return False

clf.connect(rdwr={"targets": ["106A"], "on-connect": on_connect}, terminate=lambda: time.monotonic() > deadline)
clf.close()
print(json.dumps(said))
"""


def run(*options):
    with reader_on_pty(*options) as reader:
        command = [sys.executable, "-c", PROGRAM, reader.path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout), reader.trace(">")


@in_real_time
def test_nfcpy_identifies_the_chip_and_a_type_4a_tag(request):
    said, stream = run()
    assert said["chip"] == "PN532v1.6"
    assert said["baud"] == 921600
    assert said["tag"] == "Type4ATag"
    assert said["uid"] == UID.hex()
    assert "version" in said, "the conversation with the tag broke off"
    assert not said["ndef"]
    assert said["present"]
    assert said["version"] == "af04010101001805"
    # The ACK that ends a change of rate is left out: nfcpy reopens the port at once, which may drop it unsent.
    frames = [frame.hex() for frame in dict.fromkeys(split_frames(stream)) if frame != ACK]
    assert any(frame.startswith("0000ffffff") for frame in frames), "Diagnose comes in an extended frame"
    if request.config.getoption("--golden"):
        VECTORS.write_text(json.dumps({"source": SOURCE, "frames": frames}, indent=1) + "\n")
    assert json.loads(VECTORS.read_text())["frames"] == frames
