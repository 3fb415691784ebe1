"""What losses may do otherwise on purpose (CONV)."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Convention:
    """Where losses differ on purpose.

    Attributes:
      smoothing: "others" spreads label_smoothing over the V - 1 other classes; "uniform" over all V (torch, optax,
        Keras).
      subtract_entropy: whether H is subtracted.
      add_z_loss: whether z is part of loss.
      ignore_index: a target that is excluded although it may be a class, or None.
      reduction: how a batch becomes a number, besides loss_normalizing_factor: "sum"; "mean" divides by the sum of the
        weights of the tokens whose target is in range (torch; Keras' mean_with_sample_weight), and is NaN where that
        is 0; "batch_mean" divides by the number of all tokens (Keras' sum_over_batch_size, jnp.mean).
    """

    smoothing: Literal["others", "uniform"] = "others"
    subtract_entropy: bool = True
    add_z_loss: bool = True
    ignore_index: int | None = None
    reduction: Literal["sum", "mean", "batch_mean"] = "sum"

    def on_off(self, label_smoothing: Any, classes: int) -> tuple[Any, Any]:
        """The weights of the target and of each other class (VALUE-2, CONV-2, STATE-6).

        Args:
          label_smoothing: e in [0, 1], of a type that has arithmetic with integers.
          classes: V >= 1.

        Returns:
          (on, off), of the type of label_smoothing.
        """
        if classes == 1:
            return 0 * label_smoothing + 1, 0 * label_smoothing
        if self.smoothing == "uniform":
            off = label_smoothing / classes
            return 1 - label_smoothing + off, off
        return 1 - label_smoothing, label_smoothing / (classes - 1)


LOSSPROOF = Convention()
