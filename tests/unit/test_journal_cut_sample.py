"""A fixed sample of at least 2,000 power cuts, on the interpreter of the terminal too (the rest: tests/host)."""

from cuts import World, cut_and_check


def test_two_thousand_cuts():
    done = 0
    world = World(11)
    while done < 2000:
        if world.number % 4 == 0:
            for event in range(1, 60):
                cuts = [cut_and_check(world, event, pattern) for pattern in range(8)]
                done += sum(cuts)
                if not any(cuts):
                    break
        world.step()
    assert world.number > 300
