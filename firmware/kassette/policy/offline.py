"""What a terminal may sell on accounts by itself, when the back office says nothing in time; pure.

Everything falls with the time since the back office was heard last, and with the mode. A sale that is decided here can't be
refused by anybody afterwards, so what is not known counts against it.
"""

from micropython import const

from kassette.errors import FlowEnd

VERSION = 1  # of these rules; an account's intent stores it

SALE_MINOR = 5_000  # one sale; also what the back office lets pass without a PIN, which nobody can check here
CARD_MINOR = 10_000  # one card since the last contact, and on one day
DAY_MINOR = 50_000  # all cards on one day, however often the back office was heard in between
SALES = 64  # all cards since the last contact, and on one day
_TIMES = const(3)  # one card within
_TIMES_S = const(600)
# seconds since the last contact -> per cent of each limit; after the last of them nothing
_AGES = ((7_200, 100), (43_200, 50), (86_400, 25), (259_200, 10))
_MODES = (0, 100, 75, 50)  # per cent by mode

_E_LIMIT = const(314)
_E_OFTEN = const(315)
_E_ASK = const(316)


def share(age_s: int, mode: int) -> int:
    """Per cent of each limit that are left `age_s` seconds after the last contact, in that mode of policy.mode."""
    for most, percent in _AGES:
        if age_s < most:
            return min(percent, _MODES[mode])
    return 0


def check(amount: int, percent: int, name: int, sales: list, now: int, contact: int, day: int, allowance: int) -> None:
    """Whether a card may take goods for `amount` (minor units) without anybody having been asked.

    `percent`: `share`. `name`: stands for the card's token. `sales`: what was decided here so far, (time, name, amount) each,
    as far back as the earlier of `contact` and `day`: u32 s of the last contact, and of the business day's beginning; an amount
    of 0: the back office's last word on that card was no.
    `allowance`: minor units, as the back office granted. Raises FlowEnd: 316 the back office must be asked, 315 too often,
    314 above a limit (the argument is what may be sold).
    """
    if not percent:
        raise FlowEnd(_E_ASK)
    used = today = on_card = times = 0
    for time, whose, minor in sales:
        if time >= contact:
            used += minor
        if time >= day:
            today += minor
        if whose == name:
            if not minor:
                raise FlowEnd(_E_ASK)
            on_card += minor
            times += time + _TIMES_S > now
    if times >= _TIMES or len(sales) >= SALES:
        raise FlowEnd(_E_OFTEN)
    most = min(
        SALE_MINOR * percent // 100,
        CARD_MINOR * percent // 100 - on_card,
        DAY_MINOR * percent // 100 - today,
        allowance * percent // 100 - used,
    )
    if amount > most:
        raise FlowEnd(_E_LIMIT, max(most, 0))


def check_whole(whole: int, percent: int) -> None:
    """Of a part of a split sale: the limit of one sale holds for its whole amount. Raises FlowEnd 314: nothing of it."""
    if percent and whole > SALE_MINOR * percent // 100:
        raise FlowEnd(_E_LIMIT, 0)


def needs_pin(amount: int, is_keyed: bool) -> bool:
    """Whether a PIN is asked for before the back office is: above SALE_MINOR, and always with a keyed number.

    `amount`: the whole one of a split sale.
    """
    return is_keyed or amount > SALE_MINOR
