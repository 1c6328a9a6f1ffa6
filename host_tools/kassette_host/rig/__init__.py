"""The rig: the terminal on a chip, emulated or real, and the host around it, in real time."""
