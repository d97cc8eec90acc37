"""What every family's encoder gives. Legend: B utterances or streams, T frames, F mel bins, D features."""

from torch import Tensor, nn

from kd.models.dimensions import Dimension
from kd.models.memory import Memory, Shapes


class Encoder(nn.Module):
    """features_BTF, lengths_B -> x_BTD, lengths_B. `output` is the name of the dimension D, of `num_outputs` units.

    `reach`, `memory` and `step` are for those that give many frames; the last two for those that are causal.
    """

    output: str
    num_outputs: int

    def output_lengths(self, lengths_B: Tensor) -> Tensor:
        """Frames that it gives for that many feature frames."""
        raise NotImplementedError

    def dimensions(self) -> list[Dimension]:
        """All coupled dimensions, whose tensors are named as in `state_dict()`."""
        raise NotImplementedError

    def reach(self) -> tuple[int, int] | None:
        """Feature frames that an output frame hears before and after its own, at most; None where it hears all."""
        raise NotImplementedError

    def memory(self) -> Shapes:
        """Shapes of what it remembers of a stream, by name, without the streams themselves."""
        raise NotImplementedError

    def step(self, features_BTF: Tensor, position_B: Tensor, memory: Memory) -> Tensor:
        """The next x_BTD of streams; position_B: frames that each gave before. See kd.models.streaming."""
        raise NotImplementedError
