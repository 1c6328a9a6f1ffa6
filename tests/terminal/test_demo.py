"""The scripted morning: everything agrees, twice the same, and a sabotaged one is noticed."""

import gc
import multiprocessing
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed

import pytest

from kassette_host import demo
from kassette_host.demo import plan

pytestmark = pytest.mark.sim  # the morning repeats exactly
SEEDS = 300


def play(seed):
    shop, morning, verdict = demo.play(seed)
    try:
        return shop.terminal.trace.hash, morning, verdict, len(shop.terminal.printer.slips)
    finally:
        shop.close()


def test_a_morning_agrees_to_the_cent_and_is_the_same_when_played_again():
    first, morning, verdict, slips = play(1)
    assert verdict.differences == []
    assert (verdict.committed, verdict.split) == (plan.SALES, plan.SPLITS)
    assert verdict.on_accounts == plan.STRIPES and plan.OUTAGES <= verdict.unasked < plan.STRIPES
    assert len(morning.cuts) == plan.POWER_CUTS
    assert slips >= plan.SALES - plan.POWER_CUTS
    again = play(1)
    assert again[0] == first


def test_another_seed_is_another_morning():
    assert plan.morning(1) != plan.morning(2)
    for seed in range(50):
        customers = plan.morning(seed)
        faults = [customer.fault for customer in customers]
        assert faults.count(plan.CUT) == plan.POWER_CUTS
        assert faults.count(plan.RETAP) == plan.RETAPPED and faults.count(plan.LATER) == plan.LEFT_FOR_LATER
        assert sum(customer.network in ("down", "stalled") for customer in customers) == plan.OUTAGES
        assert sum(customer.paper == "out" for customer in customers) == plan.PAPER_OUTS
        assert len({customer.amount for customer in customers}) == plan.SALES
        stripes = [customer for customer in customers if customer.is_stripe]
        assert len(stripes) == plan.STRIPES and not any(customer.fault for customer in stripes)
        assert {customer.card for customer in stripes} == set(range(plan.ACCOUNTS))
        splits = [customer for customer in customers if customer.short_card is not None]
        assert [customer.is_stripe for customer in sorted(splits, key=lambda one: one.short_card)] == [False, True]
        assert all(customer.amount > plan.SMALL_MINOR and not customer.fault for customer in splits)


def test_a_cent_too_much_on_a_card_is_a_difference():
    from kassette_host.cards.personalise import credit
    from kassette_host.demo.reconcile import reconcile
    from kassette_host.virtual.desfire import activate

    shop = demo.DemoShop(1)
    try:
        assert reconcile(shop).differences == []
        card = shop.cards[3]
        credit(activate(card), card.uid, shop.keys.purse_masters, 1, 999, 1_800_000_000)
        assert any("a card holds" in line for line in reconcile(shop).differences)
    finally:
        shop.close()


def test_a_rest_that_is_not_paid_is_a_difference():
    from kassette_host.demo.reconcile import reconcile
    from kassette_host.sim.cashier import OFFER, PART_TAKEN, TAP_OR_SWIPE, Cashier

    shop = demo.DemoShop(1)
    try:
        terminal, cashier = shop.terminal, Cashier(shop.terminal)
        terminal.power_on()
        cashier.key_in(plan.SMALL_MINOR + 1)
        cashier.wait(TAP_OR_SWIPE)
        cashier.hold(shop.cards[-1])
        cashier.wait(OFFER)
        terminal.press("#")
        cashier.wait(PART_TAKEN)
        terminal.take(shop.cards[-1])
        cashier.wait(TAP_OR_SWIPE)
        terminal.press("*")
        cashier.wait("NOT PAID: 0.01")
        terminal.press("#")
        terminal.run_until(lambda: demo.is_synchronous(shop))
        assert reconcile(shop).differences == ["the sale that began with slip 1 is not paid by two parts"]
    finally:
        shop.close()


def test_a_cent_too_little_in_an_account_is_a_difference():
    from sqlalchemy import update

    from kassette_host.backoffice.schema import accounts
    from kassette_host.demo.reconcile import reconcile

    shop = demo.DemoShop(1)
    try:
        with shop.store.writing() as books:
            books.db.execute(update(accounts).where(accounts.c.id == shop.accounts[1]).values(balance=59_999))
        assert any("an account holds 59999" in line for line in reconcile(shop).differences)
    finally:
        shop.close()


def settle(workers):
    """A core of its own for each worker. What the imports made stays: its collector need not look at it again and again."""
    with workers.get_lock():
        workers.value += 1
        demo.stay_on_one_core(workers.value)
    gc.collect()
    gc.freeze()


def agrees(seed):
    """Play a morning in a process that has played others: (seed, what differs, nothing when it agrees)."""
    try:
        _, _, verdict, _ = play(seed)
    except Exception:
        return seed, traceback.format_exc()
    return seed, "\n".join(verdict.differences)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_three_hundred_mornings_two_at_a_time():
    failed = []
    started = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, settle, (spawn.Value("i"),)) as pool:
        mornings = [pool.submit(agrees, seed) for seed in range(1, SEEDS + 1)]
        for done, morning in enumerate(as_completed(mornings), 1):
            seed, differences = morning.result()
            if differences:
                failed.append("seed %d: %s" % (seed, differences))
                print("\n" + failed[-1])
            progress = done, SEEDS, len(failed), (time.monotonic() - started) / 60
            print("\r%3d of %d mornings, %d failed, %.1f min" % progress, end="", flush=True)
    assert not failed, "\n".join(failed)
