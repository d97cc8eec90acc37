"""What every family's encoder gives. Legend: B utterances or streams, T frames, F mel bins, D features."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from kd.models.dimensions import Dimension
from kd.models.memory import Memory, Shapes


class Encoder(nn.Module, ABC):
    """features_BTF, lengths_B -> x_BTD, lengths_B. `output` is the name of the dimension D, of `num_outputs` features,
    in `output_blocks` runs of which a unit has one feature each (kd.models.dimensions).
    """

    output: str
    output_blocks: int = 1
    num_outputs: int

    @abstractmethod
    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        """Frames that it gives for that many feature frames."""

    @abstractmethod
    def dimensions(self) -> list[Dimension]:
        """All coupled dimensions, whose tensors are named as in `state_dict()`."""

    def receptive_field(self) -> tuple[int, int] | None:
        """Feature frames that an output frame depends on before and after its own, at most; None, as here: on all."""
        return None

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """From now on, compute activations again on the way back rather than keep them. Raises ValueError, as here,
        for a family that cannot.
        """
        if enabled:
            raise ValueError(f"gradient_checkpointing: {type(self).__name__} keeps its activations: set it to false")

    def memory(self) -> Shapes:
        """Shapes of what it remembers of a stream, by name, without the streams themselves.

        Raises TypeError, as `step` does, for a family that takes an utterance whole (see kd.models.streaming.why_not).
        """
        raise TypeError(f"{type(self).__name__} takes an utterance whole: it has no stream")

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        """The next x_BTD of streams; position_B: frames that each gave before."""
        raise TypeError(f"{type(self).__name__} takes an utterance whole: it has no stream")
