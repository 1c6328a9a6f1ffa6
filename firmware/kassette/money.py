"""Money is integer minor units; here it becomes text and back."""


def text(minor: int) -> str:
    """`123456` -> `1234.56`; the sign of a negative amount stands in front."""
    sign = "-" if minor < 0 else ""
    minor = abs(minor)
    return "%s%d.%02d" % (sign, minor // 100, minor % 100)
