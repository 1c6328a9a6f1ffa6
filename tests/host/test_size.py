"""What `make check` says of the bundles' sizes: both boards' are measured, and one byte too many is an error."""

import json

import pytest

from kassette_host import bundle, size


@pytest.mark.parametrize("board", ["sim", "esp32_bench"])
def test_a_linked_bundle_over_its_budget_is_an_error(board, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(size, "measure", dict)
    monkeypatch.setattr(size, "BUDGET", tmp_path / "budget.json")
    bytes_of = {name: _total(size.measure_linked(name)) for name in ("sim", "esp32_bench")}
    size.BUDGET.write_text(json.dumps({"linked": bytes_of, "modules": {}}))
    assert size.report(check=True) == 0
    bytes_of[board][0] -= 1
    size.BUDGET.write_text(json.dumps({"linked": bytes_of, "modules": {}}))
    assert size.report(check=True) == 1
    assert "over budget: the linked bundle of %s takes" % board in capsys.readouterr().out
    del bytes_of[board]
    size.BUDGET.write_text(json.dumps({"linked": bytes_of, "modules": {}}))
    assert size.report(check=True) == 1
    assert size.report(check=False) == 0


def _total(sizes):
    return [sum(each[i] for each in sizes.values()) for i in (0, 1)]


def test_the_merged_modules_of_the_chip_are_imported_and_the_others_only_weighed():
    sizes = size.measure_linked("esp32_bench")
    parts = ["/%s.mpy" % part.replace(".", "/") for part in bundle.PARTS]
    assert list(sizes)[: len(parts)] == parts
    assert all(sizes[part][1] > sizes[part][0] for part in parts)
    assert sizes["/esp32_bench/figures.mpy"][1] == 0 < sizes["/esp32_bench/figures.mpy"][0]
