"""Each public function on several devices: under jit, `shard_map`, pmap and vmap, a table "column-size-row"."""

import pytest

from ._where_bounds import assert_near
from ._where_devices import started
from ._where_meshes import COLUMNS
from ._where_rows import ROWS

SMALL = ((4, 4, 8), "float32"), ((4, 4, 6), "bfloat16")
# A device has more than what is done at once, also where it has a quarter of it.
PRODUCTION = ((4, 33, 32003), "float32"), ((4, 33, 32128), "float16"), ((4, 33, 50261), "bfloat16")
DIVISIBLE = ((4, 33, 32128), "float32"), ((4, 33, 32128), "float16"), ((4, 33, 50304), "bfloat16")


def cells():
    """Every cell in both small sizes and in a production size; those that are not thorough are some of each column."""
    return [
        pytest.param(
            column,
            row,
            shape,
            dtype,
            id=f"{column}-{'x'.join(map(str, shape))}-{dtype}-{row}",
            marks=[] if quick else [pytest.mark.thorough],
        )
        for first, column in enumerate(COLUMNS)
        for number, row in enumerate(ROWS, first)
        for (shape, dtype), quick in (
            (SMALL[0], number % 15 == 0 or (column in OFTEN and number % 8 == 0)),
            (SMALL[1], False),
            (production(column)[number % 3], number % 10 == 0 and column in (OFTEN[1], OFTEN[2], OFTEN[4])),
        )
    ]


# The other columns differ from these in one part alone.
OFTEN = ("jit_auto_both", "jit_explicit_both", "shard_map_auto_all_vma", "shard_map_explicit_some_vma", "pmap")


def production(column):
    splits_classes = any(word in column for word in ("classes", "both"))
    return DIVISIBLE if splits_classes else PRODUCTION


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    with started(tmp_path_factory.mktemp("devices")) as program:
        yield program


@pytest.mark.parametrize(("column", "row", "shape", "dtype"), cells())
def test_on_several_devices(devices, column, row, shape, dtype):
    """Fails when a function cannot be split over devices in some way, or has other values or another gradient there."""
    actual = devices.results("meshes", column, row, shape, dtype)
    assert_near(actual, row, shape, dtype, parts=COLUMNS[column].parts)


# A chunk of rows, one after the other, has what shard_map calls a type of its own: a carry that does not keep it fails.
AT_ONCE = [
    ("token_softcap", ((4, 33, 32128), "float32")),
    ("weighted", ((4, 33, 32128), "float16")),
    ("weighted", ((4, 33, 32003), "float32")),
]


@pytest.mark.thorough
@pytest.mark.parametrize("column", ["shard_map_auto_all_vma", "shard_map_auto_all_vma_grad_outside"])
@pytest.mark.parametrize(("row", "size"), AT_ONCE, ids=["softcap", "float16", "no_divisors"])
def test_shard_map_checks_what_varies_when_rows_are_done_some_at_a_time(devices, column, row, size):
    """Fails when a loop inside shard_map has a carry that changes its type: both "must have equal types"."""
    actual = devices.results("meshes", column, row, *size)
    assert_near(actual, row, *size, parts=COLUMNS[column].parts)


@pytest.mark.parametrize("row", ["average", "packed"])
@pytest.mark.parametrize("column", ["jit_auto_tokens", "jit_explicit_tokens", "jit_explicit_both"])
def test_sequences_that_are_split_over_an_axis(devices, column, row):
    """Fails when sums over sequences, of packed rows above all, need the whole batch on one device (NORM-6, NORM-7)."""
    assert_near(devices.results("meshes", column, row, *SMALL[0]), row, *SMALL[0])


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[] if row in {"weighted", "token", "dense", "packed"} else [pytest.mark.thorough])
        for row in ROWS
    ],
)
def test_inside_shard_map_over_one_axis_while_another_is_explicit(devices, row):
    """Fails when what is Manual, inside shard_map, is mistaken for Explicit, or the other axis for Auto."""
    actual = devices.results("meshes", "shard_map_explicit_some_vma", row, *SMALL[0])
    assert_near(actual, row, *SMALL[0], parts=2)
