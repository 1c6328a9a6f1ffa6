"""Flux to bits: the photographed stripe at every speed, jerk and jitter, both ways; what is no stripe ends too."""

from array import array

import flux

from kassette.codec import f2f

_PHOTO, _TEXT = flux.photo()


def read(intervals, gains=f2f.CALM, is_backward=False, skip=0):
    """(bits as a string, the least margin, noise)."""
    bits = bytearray(len(intervals) + 1)
    first, end, noise = f2f.follow(array("H", intervals), len(intervals), bits, gains, is_backward, skip)
    found = bits[first:end]
    return "".join([str(b & 1) for b in found]), min([b >> 1 for b in found] or [0]), noise


def expected(text):
    return "".join([str(b) for b in flux.bits(text)])


def test_the_photographed_stripe():
    for start, end in ((10, 10), (150, 150), (10, 25), (15, 90), (90, 15), (140, 150), (10, 150)):
        for is_backward in (False, True):
            swiped = flux.intervals(flux.swipe(_PHOTO, start, end, is_backward=is_backward))
            bits, _, noise = read(swiped, f2f.JERKY)
            if is_backward:
                bits = "".join(reversed(bits))
            assert expected(_TEXT) in bits, (start, end, is_backward)
            assert noise < 400


def test_reading_backwards_reverses_the_bits():
    swiped = flux.intervals(flux.swipe(_PHOTO, 40, 60))
    assert expected(_TEXT) in "".join(reversed(read(swiped, f2f.CALM, True)[0]))


def test_dense_track_at_the_highest_speed():
    text = "%B5413330089604111^TEST/CARD^25122010000000000000?"
    for start, end in ((10, 12), (60, 90), (140, 150)):
        moments = flux.swipe(flux.stripe(text), start, end, 0.03 * flux.T1_MM)
        assert expected(text) in read(flux.intervals(moments))[0], start


def count(jitter, jerk, gains, swipes=20):
    good = 0
    for seed in range(swipes):
        moments = flux.swipe(_PHOTO, 30, 50, jitter * flux.T2_MM, jerk, seed)
        good += expected(_TEXT) in read(flux.intervals(moments), gains)[0]
    return good


def test_jitter_and_jerk():
    assert count(0.06, 0, f2f.CALM) == 20
    assert count(0.08, 0, f2f.CALM) >= 19
    assert count(0.05, 0.25, f2f.JERKY) >= 19
    assert count(0.05, 0.25, f2f.CALM) == 0  # why there are two


def test_noise_and_margin_tell_how_sure_it_is():
    before = 0
    margins = []
    for jitter in (0.0, 0.04, 0.08, 0.12):
        _, margin, noise = read(flux.intervals(flux.swipe(_PHOTO, 40, 40, jitter * flux.T2_MM, seed=3)))
        assert noise > before
        before = noise
        margins.append(margin)
    assert margins[0] == f2f.MARGIN_MAX and margins[-1] < margins[2] < margins[1]


def test_a_gap_ends_the_reading_and_skip_goes_on_behind_it():
    text = ";1234=5?"
    swiped = flux.intervals(flux.swipe(flux.stripe(text)))
    broken = swiped[:10] + [9000] + swiped[10:]
    bits = bytearray(len(broken) + 1)
    first, end, _ = f2f.follow(array("H", broken), len(broken), bits, f2f.CALM)
    assert end - first == 10
    assert expected(text) in read(broken, skip=end)[0]


def test_what_is_no_stripe():
    assert read([]) == ("", 0, 0)
    assert read([50] * 7) == ("", 0, 0)
    assert read([50, 200] * 40)[0] == ""
    assert read([65535] * 40)[0] == "0" * 40
    noise = flux.Noise(5)
    for _ in range(50):
        wild = [1 + int(noise.uniform() ** 4 * 65534) for _ in range(120)]
        for gains in (f2f.CALM, f2f.JERKY):
            assert len(read(wild, gains)[0]) <= 120


def test_every_place_for_the_bits_is_used_within_bounds():
    swiped = flux.intervals(flux.swipe(_PHOTO, 40, 40))
    bits = bytearray(b"\xa5" * (len(swiped) + 9))
    f2f.follow(array("H", swiped), len(swiped), bits, f2f.CALM)
    assert bits[len(swiped) + 1 :] == b"\xa5" * 8
