"""What is damaged is refused, and the message says where and what to do."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lossproof import golden

FILE = "start_values.json"


def refused(directory: Path, *parts: str) -> None:
    """Asserts that loading fails with one line that has all the parts, and that no command gets past it or writes."""
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    for command in (["verify"], ["show", "0"], ["regenerate", "--only", "excluded_tokens"]):
        result = CliRunner().invoke(golden.cli, [*command, "--directory", str(directory)])
        assert (result.exit_code, result.stdout) == (3, ""), result.output
        assert re.fullmatch(r"broken: .+\n", result.stderr), result.stderr
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    with pytest.raises(golden.GoldenError) as caught:
        golden.load(directory=directory)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message
    assert "\n" not in message
    assert re.search(r"restore|regenerate|correct|move|keep|use|name the directory|add|remove|round", message), message


def case(document: Any) -> Any:
    return document["cases"][2]


def set_data(document: Any) -> None:
    case(document)["inputs"]["logits"]["data"][1] = "0x1p+2"


def set_inexact(document: Any) -> None:
    case(document)["inputs"]["logits"]["data"][1] = "0x1.0000000000001p+1"


def set_dtype(document: Any) -> None:
    case(document)["inputs"]["logits"]["dtype"] = "float8"


def set_form(document: Any) -> None:
    case(document)["inputs"]["logits"]["data"][1] = "0x1.80p+1"


def drop_number(document: Any) -> None:
    case(document)["answers"]["loss"]["decimal"].pop()


def round_off(document: Any) -> None:
    case(document)["answers"]["loss"]["decimal"][0] = "2.4e+0"


def repeat(document: Any) -> None:
    document["cases"][3] = case(document)


def add_field(document: Any) -> None:
    case(document)["tolerance"] = "0x1p-10"


def add_argument(document: Any) -> None:
    case(document)["inputs"]["weights"] = case(document)["inputs"]["logits"]


def rename_flag(document: Any) -> None:
    case(document)["flags"] = ["interesting"]


def spoil_smoothing(document: Any) -> None:
    case(document)["inputs"]["label_smoothing"] = {"dtype": "float64", "hex": "nan"}


def spoil_cotangent(document: Any) -> None:
    case(document)["cotangents"]["loss"]["data"][0] = "inf"


def spoil_shape(document: Any) -> None:
    case(document)["inputs"]["targets"]["shape"][0] = float("nan")


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (set_data, ("case", "expected the id", "hash of function, inputs and cotangents")),
        (set_inexact, ("case", "not a value of type float16")),
        (set_dtype, ("case", "inputs.logits.dtype", "float8")),
        (set_form, ("case", "inputs.logits.data[1]", "0x1.80p+1")),
        (drop_number, ("case", "needs 1 numbers, got 0")),
        (round_off, ("case", "answers.loss.decimal[0]", "2.4e+0")),
        (repeat, ("case", "each id once")),
        (add_field, ("case", "'tolerance' was unexpected")),
        (add_argument, ("case", "'weights' was unexpected")),
        (rename_flag, ("case", "'interesting'")),
        (spoil_smoothing, ("case", "inputs.label_smoothing.hex", "'nan'")),
        (spoil_cotangent, ("case", "cotangents.loss.data[0]", "'inf'")),
        (spoil_shape, ("expected JSON", "NaN is no JSON number")),
        (lambda document: document.update(extra=1), ("'extra' was unexpected",)),
        (lambda document: document.update(topic="other"), ("'other'",)),
        (lambda document: document.update(format_version=1), ("expected format version 2, got 1",)),
        (lambda document: document["cases"].pop(), ("manifest.json", FILE, "expected", "cases", "got")),
    ],
)
def test_change_is_refused_even_with_the_hash_made_right(
    vectors: Path, change: Callable[..., None], edit: Callable[[Any], object], parts: tuple[str, ...]
) -> None:
    """Fails when a file whose hash was made right again can say what the format does not allow."""
    change(FILE, edit)
    if "case" in parts:
        parts = (json.loads((vectors / FILE).read_text(encoding="ascii"))["cases"][2]["id"], *parts)
    refused(vectors, FILE, *parts)


def test_flipped_bit_is_refused(vectors: Path) -> None:
    """Fails when a damaged file is read as if it were whole."""
    content = bytearray((vectors / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (vectors / FILE).write_bytes(content)
    refused(vectors, FILE, "expected SHA-256", "got")


@pytest.mark.parametrize("resealed", [False, True])
def test_truncated_file_is_refused(vectors: Path, change: Callable[..., None], resealed: bool) -> None:
    """Fails when half a file passes for a file."""
    change(FILE, lambda _: None)
    content = (vectors / FILE).read_bytes()
    (vectors / FILE).write_bytes(content[: len(content) // 2])
    if resealed:
        manifest = json.loads((vectors / "manifest.json").read_text(encoding="ascii"))
        manifest["files"][FILE]["sha256"] = hashlib.sha256((vectors / FILE).read_bytes()).hexdigest()
        (vectors / "manifest.json").write_text(json.dumps(manifest), encoding="ascii")
    refused(vectors, FILE, "breaks off" if resealed else "expected SHA-256")


def test_missing_file_is_refused(vectors: Path) -> None:
    """Fails when a topic can vanish unnoticed."""
    (vectors / FILE).unlink()
    refused(vectors, FILE, "missing")


def test_unknown_file_is_refused(vectors: Path) -> None:
    """Fails when a file that nothing vouches for lies among the vectors."""
    (vectors / "more.json").write_text("{}", encoding="ascii")
    refused(vectors, "more.json", "only files that the manifest lists")


def test_missing_manifest_is_refused(vectors: Path) -> None:
    """Fails when a set without a manifest is taken for an empty one."""
    (vectors / "manifest.json").unlink()
    refused(vectors, "manifest.json", str(vectors))


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda manifest: manifest.update(format_version=0), ("expected format version 2, got 0",)),
        (lambda manifest: manifest.update(total=manifest["total"] + 1), ("a total of",)),
        (lambda manifest: manifest.update(note=""), ("'note' was unexpected",)),
        (lambda manifest: manifest["files"].update({"../x.json": {"cases": 1, "sha256": "0" * 64}}), ("../x.json",)),
    ],
)
def test_damaged_manifest_is_refused(
    vectors: Path, change: Callable[..., None], edit: Callable[[Any], object], parts: tuple[str, ...]
) -> None:
    """Fails when the manifest is believed although it contradicts itself or the format."""
    change("manifest.json", edit, reseal=False)
    refused(vectors, "manifest.json", *parts)


def test_fewer_cases_than_the_manifest_says_are_refused(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when a run over fewer vectors than were published passes for a full one."""

    def promise(manifest: Any) -> None:
        manifest["files"][FILE]["cases"] += 1
        manifest["total"] += 1

    count = len(golden.load(["start_values"], directory=vectors))
    change("manifest.json", promise, reseal=False)
    refused(vectors, "manifest.json", FILE, f"expected {count + 1} cases", f"got {count}")


def test_same_case_in_two_files_is_refused(vectors: Path, change: Callable[..., None]) -> None:
    """Fails when an id names two cases."""
    donor = json.loads((vectors / "excluded_tokens.json").read_text(encoding="ascii"))

    def graft(document: Any) -> None:
        document["cases"][0] = donor["cases"][0]
        document["flags"] |= donor["flags"]

    change(FILE, graft)
    refused(vectors, donor["cases"][0]["id"], "excluded_tokens.json", FILE)


def test_topics_are_chosen_by_name(vectors: Path) -> None:
    """Fails when asking for one topic gives others, or a mistyped one gives nothing instead of an error."""
    assert {one.topic for one in golden.load(["start_values"], directory=vectors)} == {"start_values"}
    with pytest.raises(golden.SelectionError, match=r"'start'.*start_values"):
        golden.load(["start"], directory=vectors)


def seed(drawn: Any) -> None:
    drawn["recipe"]["seed"] += 1


def generator(drawn: Any) -> None:
    drawn["recipe"]["generator"] = "pcg64"


def hashed(drawn: Any) -> None:
    drawn["sha256"] = "0" * 64


def shape(drawn: Any) -> None:
    drawn["shape"][-1] += 1


def drop(drawn: Any) -> None:
    drawn["recipe"]["drop"] = 0


def patch_order(drawn: Any) -> None:
    drawn["recipe"]["patches"] = {"at": [9, 3], "data": ["inf", "inf"]}


def patch_outside(drawn: Any) -> None:
    drawn["recipe"]["patches"] = {"at": [640], "data": ["inf"]}


def patch_missing(drawn: Any) -> None:
    drawn["recipe"]["patches"] = {"at": [3], "data": []}


def patch_nan(drawn: Any) -> None:
    drawn["recipe"]["patches"] = {"at": [3], "data": ["nan"]}


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (seed, ("expected a recipe whose elements have the SHA-256", "got", "restore the recipe")),
        (hashed, ("expected a recipe whose elements have the SHA-256 0000", "got")),
        (shape, ("expected a recipe whose elements have the SHA-256", "got")),
        (generator, ("inputs.logits.recipe.generator", "'pcg64' is not one of ['splitmix64']")),
        (drop, ("expected a recipe whose elements are values of type bfloat16", "drop 0")),
        (patch_order, ("patches in increasing order, from 0 to 63", "[9, 3]")),
        (patch_outside, ("patches in increasing order, from 0 to 63", "[640]")),
        (patch_missing, ("expected a value for each patch, got 0 for 1",)),
        (patch_nan, ("the patch nan is not a number of type bfloat16",)),
    ],
)
def test_recipe_that_says_something_else_is_refused(
    vectors: Path, change: Callable[..., None], edit: Callable[[Any], object], parts: tuple[str, ...]
) -> None:
    """Fails when logits are drawn that are not those the answers are for."""
    change("drawn.json", lambda document: edit(document["cases"][0]["inputs"]["logits"]))
    identity = json.loads((vectors / "drawn.json").read_text(encoding="ascii"))["cases"][0]["id"]
    refused(vectors, f"drawn.json: case {identity}: ", *parts)


@pytest.mark.parametrize(
    ("at", "part"),
    [([1, 0], "indices in increasing order"), ([0, 640], "from 0 to 63"), ([0, 5], "of 2 indices needs 2")],
)
def test_gradient_at_wrong_places_is_refused(
    vectors: Path, change: Callable[..., None], at: list[int], part: str
) -> None:
    """Fails when the numbers of a sampled gradient can be taken for those of other elements."""
    change("drawn.json", lambda document: document["cases"][0]["gradients"]["logits"].update(at=at))
    refused(vectors, "drawn.json: case", part)
