"""A bar for each phase, as a PNG: CPU dark, flash reads as the emulator charges them light, waiting lighter still."""

import io

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _ROW, _TEXT, _MARGIN = 900, 22, 300, 16
_COLOURS = ((30, 80, 140), (200, 214, 230))
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def chart(parts: dict[str, list]) -> bytes:
    """`parts`: title -> phases (`measure.Phase`); each part has a scale of its own."""
    rows = sum(len(phases) + 2 for phases in parts.values())
    image = Image.new("RGB", (_WIDTH, rows * _ROW + 2 * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    top = _MARGIN
    for title, phases in parts.items():
        widest = max(phase.passed_ms for phase in phases)
        draw.text(
            (_MARGIN, top), "%s: ms of CPU at 125 MIPS (dark), passed in all (light), flash reads" % title, _INK, font
        )
        for phase in phases:
            top += _ROW
            draw.text((_MARGIN, top), phase.name, _INK, font)
            scale = (_WIDTH - _TEXT - 170) / widest
            for colour, ms in zip(reversed(_COLOURS), (phase.passed_ms, phase.cpu_ms)):
                draw.rectangle((_TEXT, top + 2, _TEXT + max(0, ms) * scale, top + _ROW - 4), colour)
            text = "%.1f ms, %d reads" % (phase.cpu_ms, phase.reads)
            draw.text((_TEXT + phase.passed_ms * scale + 6, top), text, _INK, font)
        top += 2 * _ROW
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
