"""Processes give results in order, with few items under way, and say it when one dies."""

import os
from functools import partial

import pytest

from tasks.runner.parallel import ordered_map


def test_order_and_bounded_lead():
    taken = []

    def items():
        for i in range(40):
            taken.append(i)
            yield i

    results = []
    for result in ordered_map(partial(divmod, 1000), (i + 1 for i in items()), workers=2):
        results.append(result)
        assert len(taken) - len(results) < 8
    assert results == [divmod(1000, i + 1) for i in range(40)]


def test_errors_arrive_as_they_are():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(partial(divmod, 1), [1, 0, 1], workers=1))


def test_a_dead_worker_is_an_error_with_a_remedy():
    with pytest.raises(RuntimeError, match=r"worker process died.*preprocess\.workers"):
        list(ordered_map(os._exit, [3], workers=1))
