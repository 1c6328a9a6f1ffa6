"""Virtual hardware: what is at the other end of the firmware's links."""
