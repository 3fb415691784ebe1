"""Batches without a token, at every width that has passes of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lossproof

# No block of classes, one with a rest, and whole ones.
SHAPES = [((0,), 13), ((0, 3), 127), ((3, 0), 4096)]


@pytest.mark.parametrize(("shape", "classes"), SHAPES)
def test_a_batch_without_tokens_has_values_and_gradients(shape, classes):
    """Fails when the number of blocks of classes is found from the number of logits, which is 0 (SHAPE-4)."""
    logits, targets = np.zeros((*shape, classes), np.float32), np.zeros(shape, np.int32)

    def loss(x):
        tokens = lossproof.token_cross_entropy(
            x, targets, label_smoothing=0.1, z_loss=0.1, logit_softcap=3.0, also=("predicted_class", "entropy")
        )
        total = lossproof.compute_weighted_cross_entropy(x, targets, jnp.zeros(shape), 0.1, 0.1)
        dense = lossproof.cross_entropy_with_logits(x, logits, 0.1)
        return jnp.sum(tokens.loss) + jnp.sum(tokens.entropy) + total[0] + jnp.sum(dense[0])

    value, gradient = jax.value_and_grad(loss)(logits)
    assert value == 0
    assert gradient.shape == logits.shape
