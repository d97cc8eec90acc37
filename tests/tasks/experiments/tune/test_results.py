"""The front of a search: what nothing beats."""

import pandas as pd

from tasks.experiments.tune.results import on_front


def test_a_front_holds_what_nothing_beats() -> None:
    table = pd.DataFrame({"params": [1, 2, 3, 3, 4], "valid_error": [0.5, 0.6, 0.2, 0.2, 0.1]})
    assert on_front(table, "params").sort_index().tolist() == [True, False, True, False, True]
