"""Inputs: the student's view is augmented, the teacher's is clean, and their frames stay together."""

from pathlib import Path
from typing import Any

import pytest
import torch
from plain_sources import LiveOutputs, unperturbed
from workspace import FRONTEND, STILL, make_workspace

from kd.audio.frontend import make_front_end
from kd.config.frontend import AugmentSettings
from kd.config.self_distillation import ConsistencyCTC
from kd.teachers.codec import Codec
from kd.text.vocabulary import frames_needed
from tasks.checkpoint import load_checkpoint
from tasks.data.prepared import PreparedData
from tasks.runner.reporter import NullReporter
from tasks.teachers.logit_cache import LogitCache
from tasks.teachers.logits import StoredOutputs
from tasks.teachers.posterior_teacher import CheckpointPosteriorTeacher
from tasks.teachers.teacher_pass import fill, views
from tasks.training.batch_teacher import BatchTeacher
from tasks.training.batches import Inputs, Share, TrainingInputs
from tasks.training.feature_cache import FeatureCache

OFF = {"time_masks": 0, "frequency_masks": 0}
NOISE_DB = {"noise_snr_db": [5, 25]}


class Setup:
    def __init__(self, folder: Path) -> None:
        self.folder, self.paths = folder, make_workspace(folder)
        self.data = PreparedData.load(self.paths.prepared)
        self.utterances = self.data.split("train")
        self.frontend = make_front_end(FRONTEND)
        self.teacher = CheckpointPosteriorTeacher(load_checkpoint(self.paths.model("teacher")))
        self.model = self.teacher.model

    def inputs(self, augment: dict[str, Any], **changes: Any) -> TrainingInputs:
        arguments: dict[str, Any] = {
            "batch_seconds": 2.5,
            "seed": 3,
            "device": torch.device("cpu"),
            "output_lengths": self.model.output_lengths,
            **changes,
        }
        return TrainingInputs(
            self.data,
            self.utterances,
            self.frontend,
            AugmentSettings.model_validate(STILL | NOISE_DB | augment),
            **arguments,
        )

    def stored(self, augment: dict[str, Any]) -> StoredOutputs:
        """All outputs that a student needs under this augmentation, and no others."""
        speeds = views(AugmentSettings.model_validate(STILL | NOISE_DB | augment))
        codec = Codec.of(len(self.data.vocabulary), None)
        store = LogitCache.begin(self.folder / "stores" / str(speeds), codec)
        fill(store, self.teacher, self.data, self.utterances, speeds, NullReporter())
        return StoredOutputs(store, self.teacher.key)

    def clean_logits(self, index: int) -> torch.Tensor:
        waveform = torch.from_numpy(self.data.waveform(self.utterances[index]))[None]
        with torch.no_grad():
            logits: torch.Tensor = self.model(*self.frontend(waveform, torch.tensor([waveform.shape[1]])))[0][0]
        return logits


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return Setup(tmp_path_factory.mktemp("inputs"))


def equal(a: Inputs, b: Inputs) -> bool:
    return all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("features_BTF", "lengths_B", "targets_BL"))


def test_an_epoch_is_the_same_whenever_it_is_asked_for(setup: Setup) -> None:
    augment = {"speeds": [0.9, 1.0, 1.1], "noise_share": 0.5}
    inputs = setup.inputs(augment)
    first, again, other = (list(inputs.epoch(i)) for i in (1, 1, 2))
    assert len(first) == len(other) == inputs.per_epoch > 1
    assert all(equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(equal(a, b) for a, b in zip(first, other, strict=True))
    seeded = list(setup.inputs(augment, seed=4).epoch(1))
    assert not all(equal(a, b) for a, b in zip(first, seeded, strict=True))


def test_every_utterance_comes_once_with_its_targets(setup: Setup) -> None:
    seen = [
        tuple(targets[:n].tolist())
        for batch in setup.inputs({}).epoch(0)
        for targets, n in zip(batch.targets_BL, batch.target_lengths_B.tolist(), strict=True)
    ]
    assert sorted(seen) == sorted(u.units for u in setup.utterances)


def test_processes_share_every_batch(setup: Setup) -> None:
    whole = list(setup.inputs(OFF).epoch(0))
    parts = [list(setup.inputs(OFF, share=Share(rank, 2)).epoch(0)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        for rank, share in enumerate(shares):
            assert share.lengths_B.tolist() == batch.lengths_B[rank::2].tolist()
            torch.testing.assert_close(
                share.features_BTF, batch.features_BTF[rank::2, : share.features_BTF.shape[1]], atol=1e-4, rtol=1e-4
            )


def test_the_teacher_is_given_the_clean_view(setup: Setup) -> None:
    """Whatever masks and noise the student hears; kept in half precision."""
    rows = {u.units: [] for u in setup.utterances}
    for i, utterance in enumerate(setup.utterances):
        rows[utterance.units].append(setup.clean_logits(i))
    for augment in ({"noise_share": 1.0, "noise_snr_db": [0, 0]}, {}):
        for batch in setup.inputs(augment, teacher=BatchTeacher(setup.stored(augment))).epoch(0):
            assert batch.teacher_BTV is not None
            frames = setup.model.output_lengths(batch.lengths_B)
            assert batch.teacher_BTV.shape[1] == setup.model(batch.features_BTF, batch.lengths_B)[0].shape[1]
            for row, n in enumerate(frames.tolist()):
                units = tuple(batch.targets_BL[row, : batch.target_lengths_B[row]].tolist())
                candidates = [c.log_softmax(-1) for c in rows[units] if len(c) == n]
                assert any(torch.allclose(batch.teacher_BTV[row, :n], c, atol=2e-3) for c in candidates)


def test_a_teacher_of_moved_audio_moves_along(setup: Setup) -> None:
    """At another speed the teacher hears the same speed, without the student's noise: same frames."""
    fast = {"speeds": [0.8], **OFF}
    noisy = {**fast, "noise_share": 1.0, "noise_snr_db": [0, 0]}
    for plain, loud in zip(
        *(setup.inputs(a, teacher=BatchTeacher(setup.stored(fast))).epoch(0) for a in (fast, noisy)), strict=True
    ):
        assert plain.teacher_BTV is not None
        assert loud.teacher_BTV is not None
        assert torch.equal(plain.teacher_BTV, loud.teacher_BTV)
        assert not torch.equal(plain.features_BTF, loud.features_BTF)
        with torch.no_grad():
            expected, _ = setup.model(plain.features_BTF, plain.lengths_B)
        close(plain.teacher_BTV, expected.log_softmax(-1), setup.model.output_lengths(plain.lengths_B))


def close(found_BTV: torch.Tensor, expected_BTV: torch.Tensor, lengths_B: torch.Tensor) -> None:
    """Within what half precision moves log-probabilities by, and up to the lengths."""
    for found, expected, n in zip(found_BTV, expected_BTV, lengths_B.tolist(), strict=True):
        torch.testing.assert_close(found[:n], expected[:n], atol=4e-3, rtol=0)


@pytest.mark.parametrize("speeds", [[], [0.9, 1.0, 1.1], [0.8, 2.0]])
def test_stored_outputs_are_those_of_a_live_teacher(setup: Setup, speeds: list[float]) -> None:
    """Whatever each row's speed was, and wherever its batch put it."""
    augment = {"speeds": speeds, "noise_share": 0.5}
    live, stored = (
        setup.inputs(augment, teacher=BatchTeacher(t), output_lengths=coarse)
        for t in (LiveOutputs(setup.teacher), setup.stored(augment))
    )
    for epoch in (0, 1):
        for a, b in zip(live.epoch(epoch), stored.epoch(epoch), strict=True):
            assert equal(a, b)
            assert a.teacher_BTV is not None
            assert b.teacher_BTV is not None
            close(b.teacher_BTV, a.teacher_BTV, setup.model.output_lengths(a.lengths_B))


def coarse(frames: torch.Tensor) -> torch.Tensor:
    """So few frames that some utterances do not fit at twice their speed."""
    return frames // 6


def test_an_utterance_that_would_not_fit_keeps_its_speed(setup: Setup) -> None:
    """Twice as fast, some utterances have too few frames for CTC: they alone stay as they are."""

    inputs = setup.inputs({"speeds": [2.0], **OFF}, batch_seconds=60.0, output_lengths=coarse)
    batch = next(setup.data.batches(setup.utterances, 60.0, shuffle=(3, 0)))
    (moved,) = inputs.epoch(0)
    fates = set()
    for row, index in enumerate(batch.indices):
        utterance = setup.utterances[index]
        halved = torch.tensor([-(-utterance.num_samples // 2)])
        fits = int(coarse(setup.frontend.output_lengths(halved))) >= frames_needed(utterance.units)
        samples = halved if fits else torch.tensor([utterance.num_samples])
        assert moved.lengths_B[row] == setup.frontend.output_lengths(samples)
        if not fits:
            alone, frames = setup.frontend(torch.from_numpy(setup.data.waveform(utterance))[None], samples)
            torch.testing.assert_close(moved.features_BTF[row, : int(frames)], alone[0], atol=1e-4, rtol=1e-4)
        assert not moved.features_BTF[row, moved.lengths_B[row] :].any()
        fates.add(fits)
    assert fates == {True, False}, "the data has utterances of both kinds"


def test_stored_features_are_masked_as_fresh_ones(setup: Setup, tmp_path: Path) -> None:
    source = unperturbed(setup.data, setup.utterances, setup.frontend)
    cache = FeatureCache.build(tmp_path / "features", source, 1, setup.frontend.settings.num_mels)
    masks = {"time_masks": 1, "frequency_masks": 1}
    batches = zip(*(setup.inputs(masks, cache=c).epoch(0) for c in (None, cache)), strict=True)
    for fresh, stored in batches:
        torch.testing.assert_close(stored.features_BTF, fresh.features_BTF, atol=0.01, rtol=0)
        assert torch.equal(stored.lengths_B, fresh.lengths_B)


def test_two_views_differ_in_their_masks_alone(setup: Setup, tmp_path: Path) -> None:
    """Of the same speed and noise, stored or fresh; outside of masks they are the same features."""
    two = ConsistencyCTC(name="cr_ctc", time_masking=2.0)
    source = unperturbed(setup.data, setup.utterances, setup.frontend)
    cache = FeatureCache.build(tmp_path / "features", source, 1, setup.frontend.settings.num_mels)
    noisy = {"speeds": [0.9, 1.1], "noise_share": 1.0, "time_masks": 1, "frequency_masks": 0}
    for augment, stored in ((noisy, None), ({"time_masks": 1, "frequency_masks": 0}, cache)):
        inputs = setup.inputs(augment, two_views=two, cache=stored)
        assert inputs.masking.time_masks == 2
        for batch in inputs.epoch(0):
            assert batch.second_BTF is not None
            same_BT = (batch.features_BTF == batch.second_BTF).all(-1)
            assert same_BT.float().mean() > 0.5
            assert not same_BT.all()
    assert all(batch.second_BTF is None for batch in setup.inputs({}).epoch(0))
