"""A dvc.lock that a kill or a full disk cut off stops no run, and nothing is computed again for it."""

import shutil
import subprocess

import pytest

from flows.dvc_state.graph import look
from flows.pipeline import pipeline


def cut(toy, share):
    """Leave this share of dvc.lock, from its beginning."""
    file = toy.root / "dvc.lock"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.99])
def test_cut_off_anywhere_the_next_run_computes_nothing_and_ends_in_the_same_file(finished, first_run, share):
    look(finished.root)
    before = finished.noted("begin")
    cut(finished, share)
    pipeline(root=str(finished.root), retries=0)
    assert finished.noted("begin") == before
    assert finished.lock() == first_run[0].lock()


@pytest.mark.parametrize("last", ["params:", "outs:", "path:", "md5:"])
def test_cut_off_between_two_lines_the_run_cache_has_the_rest(finished, last):
    """Nothing tells such a file from a whole one; here the last lines of the last stage are gone."""
    file = finished.root / "dvc.lock"
    lines = file.read_text().splitlines(keepends=True)
    kept = max(number for number, line in enumerate(lines) if last in line)
    file.write_text("".join(lines[: kept + 1]))
    before = finished.noted("begin")
    pipeline(root=str(finished.root), retries=0)
    assert finished.noted("begin") == before
    assert not look(finished.root).stale


def test_without_a_copy_the_run_cache_gives_everything_back(finished, first_run):
    shutil.rmtree(finished.root / "scratch", ignore_errors=True)
    cut(finished, 0.0)
    before = finished.noted("begin")
    verdicts = pipeline(root=str(finished.root), retries=0)
    assert set(verdicts.values()) == {"restored"}
    assert finished.noted("begin") == before
    assert finished.lock() == first_run[0].lock()


def test_without_a_copy_git_has_one(finished, first_run):
    """As in a clone that has pulled results, where no stage has run and the run cache is empty."""
    for words in (
        ["init", "-q"],
        ["add", "dvc.lock"],
        ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "results"],
    ):
        subprocess.run(["git", *words], cwd=finished.root, check=True)
    shutil.rmtree(finished.root / "scratch", ignore_errors=True)
    shutil.rmtree(finished.root / ".dvc" / "cache" / "runs", ignore_errors=True)
    cut(finished, 0.5)
    told = []
    assert not look(finished.root, told.append).stale
    assert "the one that is committed is in its place" in told[0]
    assert finished.lock() == first_run[0].lock()


@pytest.mark.parametrize("rest", ["<<<<<<< ours\n", ">>>>>>> theirs\n"])
def test_half_of_a_merge_conflict_is_one(finished, rest):
    file = finished.root / "dvc.lock"
    file.write_text(file.read_text() + rest)
    with pytest.raises(Exception, match=r"dvc\.lock"):
        look(finished.root)
    assert file.read_text().endswith(rest)


def test_what_was_done_is_told_and_the_broken_file_is_kept(finished):
    look(finished.root)
    cut(finished, 0.001)
    told = []
    assert not look(finished.root, told.append).stale
    assert len(told) == 1
    assert "dvc.lock was not whole" in told[0]
    assert (finished.root / "scratch" / "dvc.lock.broken").read_bytes()
    assert not look(finished.root, told.append).stale
    assert len(told) == 1


def test_a_stage_that_ends_is_in_the_copy(finished):
    finished.outdate("export@baseline")
    finished.order("evaluate-baseline", "fail", "always")
    with pytest.raises(RuntimeError, match="failed: evaluate@baseline"):
        pipeline(root=str(finished.root), retries=0)
    assert "export@baseline" in finished.lock()
    assert (finished.root / "scratch" / "dvc.lock").read_bytes() == (finished.root / "dvc.lock").read_bytes()


def test_a_merge_conflict_is_left_to_whoever_merges(finished):
    file = finished.root / "dvc.lock"
    conflict = "<<<<<<< ours\n" + file.read_text() + "=======\n>>>>>>> theirs\n"
    file.write_text(conflict)
    with pytest.raises(Exception, match=r"dvc\.lock"):
        look(finished.root)
    assert file.read_text() == conflict


def test_a_full_disk_keeps_the_older_copy(finished, monkeypatch):
    look(finished.root)
    copy = finished.root / "scratch" / "dvc.lock"
    before = copy.read_bytes()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flows.dvc_state.lock_file.write_whole", full)
    look(finished.root)
    assert copy.read_bytes() == before


def test_a_file_of_git_is_taken_as_it_is(finished):
    """An older dvc.lock that somebody checked out is whole: it says what is up to date, not our copy."""
    look(finished.root)
    file = finished.root / "dvc.lock"
    whole = file.read_text()
    file.write_text(whole[: whole.index("  report:")])
    assert look(finished.root).stale == {"report"}
