"""Kassette's host side: virtual hardware, the simulator, the back office, provisioning and the bench."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
STATE = pathlib.Path(os.environ.get("KASSETTE_STATE", ROOT / ".state"))
