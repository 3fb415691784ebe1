"""Logits sharded over tokens, over the vocabulary or both, under plain jit: the loss costs no copy of any of them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from lossproof.reference import oracle
from lossproof.reference.bounds import Bounds, Call, with_final_rounding

from . import _sharding
from ._sharding import CASES, COMPILED, RUN, SCALARS, collectives_of_benchmarks, inputs_of

MOST = 2048  # bytes per token that a device may receive: 16 times less than a row of the smallest V here, in 16 bits


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """What the program of `_sharding` leaves: it has the 8 devices, this process has one."""
    path = tmp_path_factory.mktemp("sharding")
    result = subprocess.run([sys.executable, _sharding.__file__, path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def results(directory):
    return json.loads((directory / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def arrays(directory):
    with np.load(directory / "arrays.npz") as file:
        return dict(file)


@named(CASES)
def test_devices_exchange_a_block_of_each_token_at_most(results, case):
    """Fails when logits are gathered or replicated, or permuted, be it in a loop."""
    collectives = results[case.name]["collectives"]
    assert {operation for operation, *_ in collectives} <= {"all-reduce", "all-gather"}
    received = sum(size * times for _, _, size, times in collectives)
    blocks = 2 if case.function == "predicted" else 1  # the one with the predicted class may be another
    assert received <= blocks * MOST * case.tokens_of_a_device, collectives


@named([case for case in CASES if case.differentiated])
def test_the_gradient_is_sharded_as_the_logits_are(results, case):
    """Fails when the gradient comes out replicated, or sharded over other axes."""
    assert results[case.name]["keeps_sharding"]


@named([case for case in COMPILED if case.function != "projected"])
def test_no_device_holds_a_copy_of_its_part_of_the_logits(results, case):
    """Fails when a device keeps others' logits, or its own a second time, while it computes."""
    assert 2 * results[case.name]["temporaries"] < case.share


@named(RUN)
def test_value_and_gradient_are_within_the_bound(arrays, case):
    """Fails when a shard is left out or counted twice, or takes its own part of V for the whole (VALUE-5, GRAD-1)."""
    inputs = {name: array.reshape(-1, *array.shape[len(case.shape) - 1 :]) for name, array in inputs_of(case).items()}
    inputs |= SCALARS[case.function]
    exact = oracle.compute_weighted_cross_entropy(**inputs).loss
    bounds = Bounds(Call("compute_weighted_cross_entropy", inputs))
    assert abs((arrays[f"{case.name} value"] - exact.high) - exact.low) <= bounds.values()["loss"] - exact.radius
    gradient = arrays[f"{case.name} gradient"].reshape(inputs["logits"].shape)
    bound = bounds.gradients({"loss": 1.0})["logits"]
    for rows, row in oracle.logits_gradient_rows(**inputs, cotangents={"loss": 1.0}):
        allowed = with_final_rounding(bound[rows], np.abs(row.high), case.dtype)
        assert np.all(np.abs((gradient[rows] - row.high) - row.low) <= np.maximum(allowed - row.radius, 0))


HLO = """
HloModule loss

%step (x: (f32[4])) -> (f32[4]) {
  %b = u16[2,3]{1,0} all-gather(%a), channel_id=1, dimensions={0}
}

%condition (x: (f32[4])) -> pred[] {
  ROOT %c = pred[] compare(%x, %y), direction=LT
}

ENTRY %main (x: f32[8]) -> f32[] {
  %d = (f32[4]{0}, /*index=1*/pred[]) all-reduce(%x, %y), to_apply=%add
  %e = bf16[5]{0} reduce-scatter(%x), dimensions={0}
  %w = (f32[4]{0}) while(%t), condition=%condition, body=%step, backend_config={"known_trip_count":{"n":"7"}}
}

%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %s = f32[] add(%x, %y)
}
"""


def test_collectives_are_read_with_their_size_and_how_often_they_run():
    """Fails when one is overlooked, in a loop or with several results, and programs look cheaper than they are."""
    found = collectives_of_benchmarks()(HLO, 8)
    assert [tuple(each) for each in found] == [
        ("all-reduce", "f32[4], pred[]", 17, 1),
        ("reduce-scatter", "bf16[5]", 80, 1),
        ("all-gather", "u16[2,3]", 12, 7),
    ]
    with pytest.raises(ValueError, match="a loop with collectives must have a known number of steps"):
        collectives_of_benchmarks()(HLO.replace("known_trip_count", "unknown"), 8)
