"""Random programs with colliding names mean the same linked as they are."""

import pytest
from linking import means_the_same
from random_program import random_program

from kassette_host.link.borrow import LENT


@pytest.mark.parametrize("seed", range(40))
def test_random_program(seed):
    means_the_same(random_program(seed))


@pytest.mark.parametrize("seed", range(60, 72))
def test_random_program_in_two_parts(seed):
    files = random_program(seed)
    means_the_same(files, {"p.first": ["p.y"], "p.second": ["p.main"]})


@pytest.mark.parametrize("seed", range(72, 84))
def test_random_program_with_borrowed_names(seed):
    means_the_same(random_program(seed), lent=LENT)


@pytest.mark.soak
def test_a_thousand_random_programs():
    for seed in range(1000, 2000):
        means_the_same(random_program(seed), lent=LENT if seed % 2 else ())
