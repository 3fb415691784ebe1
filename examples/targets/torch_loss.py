"""A loss written with torch; a fused kernel would have this form. The dictionary says what is computed and returned.

A target: lossproof check examples/targets/torch_loss.py:fused_loss
"""

import torch

LOSSPROOF = {"convention": "uniform no-entropy", "dtypes": ["float32", "float64"], "outputs": ["loss", "log_z"]}


def fused_loss(
    logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns each token's loss and log of the partition function; smoothing is over all classes."""
    log_z = torch.logsumexp(logits, dim=-1)
    picked = torch.gather(logits, -1, targets[..., None])[..., 0]
    expected = (1 - label_smoothing) * picked + label_smoothing * logits.mean(dim=-1)
    return log_z - expected, log_z
