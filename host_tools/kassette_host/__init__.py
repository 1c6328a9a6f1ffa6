"""Kassette's host side: virtual hardware, the simulator, the back office, provisioning and the bench."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
STATE = ROOT / ".state"
