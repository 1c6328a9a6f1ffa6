"""Stand-in for the ESP32's `network` on the unix interpreter: the radio finds its network while a file exists."""

import os


class WLAN:
    def __init__(self, interface):
        assert interface == 0
        self._is_active = False
        self._network = None

    def active(self, is_active):
        self._is_active = is_active

    def connect(self, ssid, key):
        assert self._is_active and isinstance(ssid, str) and isinstance(key, str)
        self._network = ssid

    def isconnected(self):
        try:
            os.stat(os.getenv("KASSETTE_FLASH") + "/wifi-" + (self._network or ""))
            return True
        except OSError:
            return False
