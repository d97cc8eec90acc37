"""From logits to unit indices. Legend: B utterances, T padded frames, V units."""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kd.config.models import Problem
from kd.padding import frame_mask
from kd.text.vocabulary import BLANK_INDEX

Decoder = Callable[[Tensor, Tensor], list[list[int]]]


class NotANumberError(ValueError):
    """A model gives NaN: it has diverged."""


def ctc_greedy(logits_BTV: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """Best path of CTC: the likeliest unit of each frame, repeats merged, blanks dropped.

    Graves et al. 2006, "Connectionist temporal classification", sec. 3.2. Frames from lengths_B on
    are never looked at. Logits, log-probabilities and probabilities give the same answer.
    """
    best_BT = _best_units(logits_BTV, lengths_B)
    hypotheses = []
    for best_T, length in zip(best_BT, lengths_B.tolist(), strict=True):
        merged = torch.unique_consecutive(best_T[:length])
        hypotheses.append(merged[merged != BLANK_INDEX].tolist())
    return hypotheses


def ctc_beam(
    logits_BTV: Tensor, lengths_B: Tensor, *, beam: int, least_probability: float = 1e-5
) -> list[list[tuple[list[int], float]]]:
    """Up to `beam` transcripts of each utterance, likeliest first, with the natural logarithms of their probabilities.

    Prefix beam search (Hannun et al. 2014, arXiv:1408.2873, alg. 1) without a language model: unlike the best path, it
    adds up all alignments of a transcript that it has not dropped. Units below `least_probability` in a frame are not
    tried there. A beam that holds every transcript, with 0, gives exact probabilities; any other, lower bounds.
    """
    _best_units(logits_BTV, lengths_B)  # refuses what does not fit, and NaN
    log_probs_BTV = logits_BTV.double().log_softmax(-1).cpu()
    least = math.log(least_probability) if least_probability > 0 else -math.inf
    return [_search(log_probs_BTV[b, :length].tolist(), beam, least) for b, length in enumerate(lengths_B.tolist())]


def keyword(logits_BTV: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """The likeliest label of each utterance, which is a sequence of one frame (T = 1)."""
    if logits_BTV.ndim != 3 or logits_BTV.shape[1] != 1:
        raise ValueError(f"keyword logits have shape {tuple(logits_BTV.shape)}; expected (B, 1, V): one frame each")
    best_BT: list[list[int]] = _best_units(logits_BTV, lengths_B).tolist()
    return best_BT


DECODERS: dict[Problem, Decoder] = {"transcription": ctc_greedy, "keyword": keyword}


def _best_units(logits_BTV: Tensor, lengths_B: Tensor) -> Tensor:
    """Index of each frame's greatest logit, shape (B, T), on the CPU; refuses NaN in valid frames."""
    if logits_BTV.ndim != 3 or lengths_B.shape != logits_BTV.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits_BTV.shape)} and lengths {tuple(lengths_B.shape)} do not fit: "
            "expected (B, T, V) and (B,)"
        )
    num_frames = logits_BTV.shape[1]
    if lengths_B.numel() and int(lengths_B.max()) > num_frames:
        raise ValueError(
            f"lengths {lengths_B.tolist()} exceed the {num_frames} frames of the logits. "
            "Pass the lengths that the model returned, not those of its input"
        )
    valid_BT = frame_mask(lengths_B.to(logits_BTV.device), num_frames)
    broken_B = (logits_BTV.isnan().any(dim=2) & valid_BT).any(dim=1)
    if broken_B.any():
        raise NotANumberError(
            f"logits of utterances {broken_B.nonzero().flatten().tolist()} of this batch hold NaN: "
            "the model has diverged. Train it again with a lower lr or max_grad_norm"
        )
    return logits_BTV.argmax(dim=2).cpu()


def _search(frames: Sequence[Sequence[float]], beam: int, least: float) -> list[tuple[list[int], float]]:
    """Prefixes by the sum over their alignments; each keeps apart those that end in a blank and in its last unit."""
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in frames:
        units = [v for v in range(1, len(frame)) if frame[v] > least]
        grown: defaultdict[tuple[int, ...], tuple[float, float]] = defaultdict(lambda: (-math.inf, -math.inf))
        for prefix, (blank, unit) in prefixes.items():
            both = _log_sum(blank, unit)
            last = prefix[-1] if prefix else BLANK_INDEX
            old = grown[prefix]
            repeated = _log_sum(old[1], unit + frame[last]) if prefix else old[1]
            grown[prefix] = (_log_sum(old[0], both + frame[BLANK_INDEX]), repeated)
            for v in units:
                before = blank if v == last else both  # a repeated unit needs a blank between
                if before > -math.inf:
                    old = grown[*prefix, v]
                    grown[*prefix, v] = (old[0], _log_sum(old[1], before + frame[v]))
        prefixes = dict(heapq.nlargest(beam, grown.items(), key=lambda item: _log_sum(*item[1])))
    return [(list(prefix), _log_sum(*ends)) for prefix, ends in prefixes.items()]


def _log_sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = (a, b) if a > b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
