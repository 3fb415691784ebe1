"""The program of each platform, lowered on this machine: XLA:CPU's own ways are in XLA:CPU's programs alone."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossproof import (
    compute_weighted_cross_entropy,
    cross_entropy_with_logits,
    get_loss_normalizing_factor_and_weights,
    token_cross_entropy,
)

SHAPE = (4, 8, 32128)
ALSO = ("target_log_probability", "predicted_class", "entropy")
ELSEWHERE = ["cuda", "rocm", "tpu"]


def dense(x, function=token_cross_entropy, **keywords):
    return function(x, jnp.broadcast_to(jnp.float32(0.5), x.shape), **keywords)


def hard(x, function=token_cross_entropy, **keywords):
    targets = jnp.asarray(np.arange(x[..., 0].size).reshape(x.shape[:-1]))
    return function(x, targets, **keywords)


def factored(x, factor):
    batch = {
        "decoder_target_tokens": jnp.ones(x.shape[:-1], jnp.int32),
        "decoder_segment_ids": jnp.ones(x.shape[:-1], jnp.int32),
        "decoder_positions": jnp.zeros(x.shape[:-1], jnp.int32),
    }
    factor, weights = get_loss_normalizing_factor_and_weights(factor, batch)
    return hard(x, compute_weighted_cross_entropy, weights=weights, loss_normalizing_factor=factor)


LOSSES = {
    "token": partial(hard, label_smoothing=0.1, z_loss=1e-4),
    "plain": hard,
    "all mass on others": partial(hard, label_smoothing=1.0),
    "further results": partial(hard, also=ALSO, logit_softcap=30.0),
    "weighted": partial(hard, function=compute_weighted_cross_entropy, label_smoothing=0.1, z_loss=1e-4),
    "dense token": partial(dense, z_loss=1e-4, also=ALSO, logit_softcap=30.0),
    "dense": partial(dense, function=partial(cross_entropy_with_logits, z_loss=1e-4)),
    "packed": partial(factored, factor="AVERAGE_PER_SEQUENCE"),
    "real tokens": partial(factored, factor="NUM_REAL_TARGET_TOKENS"),
}


def scalar(loss, x):
    return sum(jnp.sum(value) for value in jax.tree.leaves(loss(x)) if jnp.issubdtype(value.dtype, jnp.floating))


MODES = {
    "forward": lambda loss, x: loss(x),
    "value_and_grad": lambda loss, x: jax.value_and_grad(partial(scalar, loss))(x),
    "jvp": lambda loss, x: jax.jvp(partial(scalar, loss), (x,), (x,)),
    "hvp": lambda loss, x: jax.jvp(jax.grad(partial(scalar, loss)), (x,), (x,))[1],
    "vmap": lambda loss, x: jax.vmap(jax.grad(partial(scalar, loss)))(x),
    "checkpoint": lambda loss, x: jax.grad(jax.checkpoint(partial(scalar, loss), prevent_cse=False))(x),
}


def lowered(loss, mode, dtype, platform):
    program = jax.jit(partial(MODES[mode], LOSSES[loss])).trace(jax.ShapeDtypeStruct(SHAPE, dtype))
    return program.lower(lowering_platforms=(platform,)).as_text()


def poison(text):
    """Barriers, and what moves an array of the logits' size, as lines of StableHLO."""
    moves = re.compile(
        r"stablehlo\.(reshape|gather|dynamic_gather|scatter|slice|dynamic_slice|transpose|sort|concatenate)\b"
    )
    whole = re.compile(rf"tensor<[\dx]*x{SHAPE[-1]}x")
    lines = iter(text.splitlines())
    for line in lines:
        if "optimization_barrier" in line:
            yield line
        if moves.search(line):
            # The types are at the end, behind the region that a scatter or a sort has.
            types = next(each for each in lines if each.lstrip().startswith("})")) if line.endswith("({") else line
            if whole.search(types.rpartition(" : ")[2]):
                yield line + types


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", LOSSES)
def test_elsewhere_the_logits_stay_in_their_shape(loss, mode, dtype):
    """Fails when a barrier, or a reshape or gather of the logits, gets into the program of a TPU or a GPU."""
    for platform in ELSEWHERE:
        assert list(poison(lowered(loss, mode, dtype, platform))) == [], platform


@pytest.mark.parametrize("loss", ["token", "plain", "dense"])
def test_on_a_cpu_they_do_not(loss):
    """Fails when XLA:CPU gets the passes of the others, or the test above cannot see what it looks for."""
    found = "\n".join(poison(lowered(loss, "value_and_grad", "float32", "cpu")))
    assert "optimization_barrier" in found
    assert "stablehlo.reshape" in found
    assert loss == "dense" or '"stablehlo.scatter"' in found


@pytest.mark.parametrize("mode", ["forward", "value_and_grad"])
def test_the_platform_is_chosen_when_a_program_is_lowered(mode):
    """Fails when the machine that traces decides: one traced program serves several platforms."""
    program = jax.jit(partial(MODES[mode], LOSSES["token"])).trace(jax.ShapeDtypeStruct(SHAPE, "float32"))
    texts = {platform: program.lower(lowering_platforms=(platform,)).as_text() for platform in ("cpu", "tpu", "cuda")}
    assert "optimization_barrier" in texts["cpu"]
    assert not any("optimization_barrier" in texts[platform] for platform in ("tpu", "cuda"))


@pytest.mark.parametrize("loss", ["token", "dense token"])
def test_the_plain_passes_have_a_name(loss):
    """Fails when implementation="xla" compiles something else on a CPU than the plain passes."""
    keyed = partial(LOSSES[loss], implementation="xla")
    text = jax.jit(keyed).trace(jax.ShapeDtypeStruct(SHAPE, "float32")).lower(lowering_platforms=("cpu",)).as_text()
    assert list(poison(text)) == []
