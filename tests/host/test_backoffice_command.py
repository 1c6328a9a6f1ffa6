"""`python -m kassette_host backoffice`: starts, says where, ends with Ctrl-C; each failure has its exit code."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

_HANG_S = 60


def _command(directory, *options, passphrase="p"):
    command = [sys.executable, "-m", "kassette_host", "backoffice", "--directory", str(directory), *options]
    environment = os.environ | {"KASSETTE_PASSPHRASE": passphrase}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _failure(process):
    out, err = process.communicate(timeout=_HANG_S)
    assert out == "" and "Traceback" not in err
    return process.returncode, err


def test_it_serves_until_ctrl_c_and_fails_with_a_code_and_a_sentence(tmp_path):
    running = _command(tmp_path, "--terminal-port", "0", "--page-port", "0")
    address = re.fullmatch(r"pages +(http://127\.0\.0\.1:\d+/office/)\n", running.stdout.readline()).group(1)
    port = re.search(r":(\d+)/v1/slots", running.stdout.readline()).group(1)
    assert b"Overview" in urllib.request.urlopen(address, timeout=_HANG_S).read()

    code, text = _failure(_command(tmp_path, passphrase="wrong"))
    assert code == 6 and "passphrase" in text
    (tmp_path / "file").touch()
    code, text = _failure(_command(tmp_path / "file/books"))
    assert code == 6 and "Not a directory" in text
    code, text = _failure(_command(tmp_path, "--terminal-port", port))
    assert code == 3 and "taken" in text

    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=_HANG_S)
    assert (running.returncode, out, err) == (0, "", "")
