"""Error rates are written by names that say of what, and read by one name, whoever wrote them."""

import pytest

from tasks.metric_names import ERROR_KINDS, ERROR_WORDS, error_name, named_errors, plain_errors

NAMES = ["test_error", "test_error_low", "valid_error", "initial_valid_error", "teacher_valid_error",
         "valid_error_at_cut", "int8_static/test_error", "test_error/telephone", "train_error",
         "canary_error_high"]  # fmt: skip


@pytest.mark.parametrize("kind", ERROR_KINDS.values())
def test_names_say_of_what_and_come_back(kind: str) -> None:
    named = [error_name(name, kind) for name in NAMES]
    assert named[0] == f"test_{kind}"
    assert not {*named} & {*NAMES}
    assert [error_name(name, "error") for name in named] == NAMES
    assert [error_name(name, kind) for name in named] == named


def test_each_by_hand() -> None:
    assert [error_name(name, "wer") for name in NAMES] == [
        "test_wer", "test_wer_low", "valid_wer", "initial_valid_wer", "teacher_valid_wer", "valid_wer_at_cut",
        "int8_static/test_wer", "test_wer/telephone", "train_wer", "canary_wer_high",
    ]  # fmt: skip


def test_what_is_no_error_rate_keeps_its_name() -> None:
    others = dict.fromkeys(("valid_loss", "error_kind", "errors", "latest_error", "test_errors", "cer", "error"), 1)
    assert named_errors(others, "wer") == plain_errors(others) == others


def test_every_kind_has_its_word() -> None:
    assert {*ERROR_KINDS.values()} == {*ERROR_WORDS}
