"""Flash images for the ESP32: the stock firmware, our partition table, the program, one terminal's identity."""


class ImageError(Exception):
    """Why there is no image. `code`: a word of STATUSES; the text says the rest, and never a key."""

    def __init__(self, code: str, text: str):
        super().__init__(text)
        self.code = code


# What the command exits with: 6 what was given is not used, 7 it is damaged.
STATUSES = {
    "no-image": 7,  # no ESP32 image begins where one should
    "damaged": 7,  # its checksum, its hash or its partition table is wrong
    "wrong-chip": 6,  # for another chip of the family
    "no-micropython": 6,
    "wrong-version": 6,  # of MicroPython
    "small-flash": 6,  # the partitions do not fit the flash that the image is for
    "too-large": 6,  # a program or a file system does not fit its partition
    "journal-cut": 6,  # unacknowledged records lie where something else would be
    "journal-unreadable": 6,  # nobody can tell whether there are any
}
