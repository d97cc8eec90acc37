"""CTC models of torchaudio.pipelines (wav2vec 2.0, HuBERT): the bundle's own model, weights and labels.

One clip at a time: some bundles normalise over the whole batch, so neighbours would change the transcript.
Legend: N samples, T frames of 20 ms, V labels of the bundle.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import soxr
import torch

from kd.teachers.confidence import best_path_confidence
from kd.text.decoding import ctc_greedy
from kd.text.token_table import WORD_BREAK
from tasks.params.teachers import BundleTeacher
from tasks.params.trained import NOTHING
from tasks.pretrained.bundles import bundle_labels, find_bundle, load_bundle
from tasks.runner.reporter import Reporter
from tasks.teachers.transcribers.transcriber import Clip, TranscriberOutput


class TorchaudioTranscriber:
    """Raises ValueError where the name is no CTC bundle, or its weights cannot be had."""

    def __init__(self, settings: BundleTeacher, root: Path) -> None:
        self.settings = settings
        self.bundle = find_bundle(settings.bundle)
        file = None if settings.path == Path(NOTHING) else root / settings.path
        self.model = load_bundle(settings.bundle, self.bundle, file)
        self.labels = bundle_labels(self.bundle)

    @property
    def identity(self) -> str:
        digest = blake2b(self.settings.bundle.encode(), digest_size=16)
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return f"torchaudio-{digest.hexdigest()}"

    def transcribe(self, clips: Sequence[Clip], reporter: Reporter) -> Iterator[tuple[str, TranscriberOutput]]:
        for clip in reporter.progress(clips, len(clips), self.settings.bundle):
            yield clip.id, self._transcribe(clip)

    @torch.inference_mode()
    def _transcribe(self, clip: Clip) -> TranscriberOutput:
        # By soxr: the runtime's resampler rounds otherwise, and transcripts that are kept would be made again
        waveform_N = soxr.resample(clip.waveform_N, clip.sample_rate_hz, int(self.bundle.sample_rate))
        logits_1TV, _ = self.model(torch.from_numpy(waveform_N)[None])
        log_probs_1TV = logits_1TV.log_softmax(-1)
        lengths = torch.tensor([log_probs_1TV.shape[1]])
        (units,) = ctc_greedy(log_probs_1TV, lengths)
        (confidence,) = best_path_confidence(log_probs_1TV, lengths)
        text = "".join(self.labels[unit] for unit in units).replace(WORD_BREAK, " ").strip()
        return TranscriberOutput(((text, 1.0),), confidence)
