"""What the answers are, computed by other means than the reference."""

import math
import re
from collections import Counter
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest

from lossproof import golden, reference
from lossproof.golden._flags import NOTES

SPEC = Path(__file__).resolve().parents[2] / "SPEC.md"
# Errors, spellings of names, transforms, repetition, and the conventions of others: no input has them for an answer.
NOT_IN_VECTORS = {"SHAPE-5", "SHAPE-6", "SHAPE-7", "SHAPE-8", "GRAD-10", "NORM-1", "ACC-6", "CONV-1"}
# Those of keywords that t5x's functions do not have, and neither has the format of the vectors.
NOT_IN_VECTORS |= {"VALUE-11", "VALUE-12", "VALUE-13", "VALUE-14", "VALUE-15", "GRAD-12", "GRAD-13", "CONV-2"}
# Devices: a vector is a call with whole rows.
NOT_IN_VECTORS |= {"SPLIT-1", "SPLIT-2", "SPLIT-3", "SPLIT-4", "SPLIT-5"}
# What a flag says that anybody can read off the inputs.
VISIBLE = {"excluded", "full_smoothing", "narrow_logits", "negative_weight", "no_tokens", "one_class", "values_only"}
# The least number of cases of each topic.
TOPICS = {
    "confident_tokens": 40,
    "dense_targets": 20,
    "excluded_tokens": 20,
    "language_model": 4,
    "large_vocabulary": 5,
    "many_tokens": 10,
    "masked_vocabulary": 20,
    "narrow_gradients": 20,
    "odd_vocabularies": 30,
    "offsets": 30,
    "packed_batches": 30,
    "peer_bugs": 40,
    "small_vocabularies": 30,
    "smoothing_extremes": 30,
    "special_states": 30,
    "start_values": 20,
    "t5x_differences": 15,
    "weights_and_factors": 30,
    "worst_cases": 40,
    "z_loss": 30,
}
EVERY_TYPE = (
    "confident_tokens",
    "dense_targets",
    "masked_vocabulary",
    "offsets",
    "small_vocabularies",
    "smoothing_extremes",
    "start_values",
    "weights_and_factors",
    "z_loss",
)
# Computed with mpmath to 25 digits before the reference existed: logits, label_smoothing, z_loss, loss.
START = [
    ([1.0, 2.0, 3.0], Fraction(0), Fraction(0), "2.40760596444438030448292"),
    ([1.0, 2.0, 3.0], Fraction(1, 10), Fraction(0), "1.863208272996937534034647"),
    ([1.0, 2.0, 3.0], Fraction(1), Fraction(0), "0.2144587838844349950656878"),
    ([1.0, 2.0, float("-inf")], Fraction(0), Fraction(0), "1.313261687518222834048995"),
    ([0.0, -200.0, 0.0], Fraction(1, 10), Fraction(0), "10.29874948911250253896896"),
]


@pytest.mark.parametrize(("logits", "smoothing", "z_loss", "expected"), START)
def test_reference_gives_the_start_values(
    logits: list[float], smoothing: Fraction, z_loss: Fraction, expected: str
) -> None:
    """Fails when the reference, and so every vector, follows another formula than the one that was agreed on."""
    answer = reference.token_cross_entropy([logits], [0], label_smoothing=smoothing, z_loss=z_loss, digits=25)
    decimal = answer.loss.item().decimal(25)
    assert decimal is not None
    assert Fraction(expected) == Fraction(decimal)


def test_reference_gives_the_start_values_of_z_and_entropy() -> None:
    """Fails when z-loss or the entropy constant is another one than was agreed on."""
    x = [[1.0, 2.0, 3.0]]
    z = reference.token_cross_entropy(x, [0], z_loss=Fraction(1, 10), digits=25).z_loss.item().decimal(25)
    assert z is not None
    assert Fraction("1.161177840891691524787774") == Fraction(z)
    conventions = (reference.Convention(subtract_entropy=False), reference.Convention())
    with_entropy, without = (
        reference.token_cross_entropy(x, [0], label_smoothing=Fraction(1, 10), convention=one, digits=40).loss.item()
        for one in conventions
    )
    difference = Decimal(with_entropy.decimal(40) or "nan") - Decimal(without.decimal(40) or "nan")
    assert Context(prec=25).plus(difference) == Decimal("0.3943976914474427704482732")


def oracle(case: golden.Case) -> tuple[list[Decimal], list[Decimal]]:
    """Returns losses and logits gradient of a token_cross_entropy case, SPEC.md's formulas in decimal arithmetic."""
    k = exact(case, "z_loss")
    e = exact(case, "label_smoothing")
    losses, gradient = [], []
    for row, t in zip(case.inputs["logits"].tolist(), case.inputs["targets"].tolist(), strict=True):
        x = [Decimal(value) for value in row]
        q = [1 - e if j == t else e / (len(x) - 1) for j in range(len(x))]
        lse = max(x) + sum((value - max(x)).exp() for value in x).ln()
        entropy = -sum(value * value.ln() for value in q if value)
        losses.append(sum(a * (lse - b) for a, b in zip(q, x, strict=True)) - entropy + k * lse**2)
        gradient += [(1 + 2 * k * lse) * (b - lse).exp() - a for a, b in zip(q, x, strict=True)]
    return losses, gradient


def exact(case: golden.Case, name: str) -> Decimal:
    given = case.inputs.get(name)
    return Decimal(given.value) if isinstance(given, golden.Scalar) else Decimal(0)


def plain(case: golden.Case) -> bool:
    """Whether the formulas can be evaluated as they stand, soon."""
    if case.function != "token_cross_entropy" or list(case.cotangents) != ["loss"]:
        return False
    logits, targets, cotangent = case.inputs["logits"], case.inputs["targets"], case.cotangents["loss"]
    assert isinstance(logits, golden.Array)
    assert isinstance(targets, golden.Array)
    assert isinstance(cotangent, golden.Array)
    if logits.shape[-1] > 1000 or len(logits.shape) != 2 or set(cotangent.values) != {1.0}:
        return False
    in_range = all(0 <= t < logits.shape[-1] for t in targets.values)
    moderate = all(abs(x) < 1e5 for x in logits.values)
    scalars = (case.inputs.get(name) for name in ("label_smoothing", "z_loss"))
    finite = all(math.isfinite(given.value) for given in scalars if isinstance(given, golden.Scalar))
    return finite and moderate and in_range and logits.shape[-1] > 1 and len(targets.values) < 10


def test_decimals_agree_with_decimal_arithmetic(shipped: list[golden.Case]) -> None:
    """Fails when a digit is wrong: the same formulas in Python's decimal, to 500 digits, round to another 40."""
    cases = [case for case in shipped if plain(case)]
    assert len(cases) > 200
    for case in cases:
        with localcontext(Context(prec=500)):
            losses, gradient = oracle(case)
        for numbers, answer in ((losses, case.answers["loss"]), (gradient, case.gradients["logits"])):
            stored = [Decimal(text) for text in answer.decimal]
            assert [as_stored(number) for number in numbers] == stored, case.id


def as_stored(number: Decimal) -> Decimal:
    """Returns the number to 40 digits, or the 0 that stands for less than 2^-1400."""
    return Context(prec=40).plus(number) if abs(number) >= Decimal(2) ** -1400 else Decimal(0)


def test_rounded_floats_are_the_nearest_to_the_decimals(shipped: list[golden.Case]) -> None:
    """Fails when a neighbour of a rounded float64 is nearer to the real number, known to half a unit of digit 40."""
    count = 0
    for case in shipped:
        for answer in (*case.answers.values(), *case.gradients.values()):
            for text, number in zip(answer.decimal, (answer.rounded or {}).get("float64", ()), strict=False):
                if not math.isfinite(float(text)) or not math.isfinite(number):
                    assert repr(float(text)) == repr(number), case.id
                    continue
                _, digits, exponent = Decimal(text).as_tuple()
                assert isinstance(exponent, int)
                unit = Fraction(10) ** exponent if len(digits) > 1 else Fraction(0)
                for neighbour in (math.nextafter(number, -math.inf), math.nextafter(number, math.inf)):
                    if math.isfinite(neighbour):
                        distance = abs(Fraction(neighbour) - Fraction(text))
                        assert abs(Fraction(number) - Fraction(text)) <= distance + unit, case.id
                        count += 1
    assert count > 1000


def test_long_arrays_alone_have_no_rounded_floats(shipped: list[golden.Case]) -> None:
    """Fails when a reader finds none where the format promises them."""
    for case in shipped:
        for answer in (*case.answers.values(), *case.gradients.values()):
            assert (answer.rounded is None) == (len(answer.decimal) > 256), case.id


def spec_clauses() -> set[str]:
    """The ids of SPEC.md."""
    clauses = set(re.findall(r"^- \*\*([A-Z]+-\d+) \(", SPEC.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(clauses) > 60
    return clauses


def test_every_difference_from_t5x_has_a_case(shipped: list[golden.Case]) -> None:
    """Fails when SPEC.md claims a difference from t5x that no vector pins down; states and exclusions likewise."""
    clauses = spec_clauses()
    cited: dict[str, set[str]] = {}
    for case in shipped:
        cited.setdefault(case.topic, set()).update(case.clauses)
    for family, topic in (("DIFF", "t5x_differences"), ("STATE", "special_states"), ("EXCL", "excluded_tokens")):
        wanted = {clause for clause in clauses if clause.startswith(f"{family}-")}
        assert wanted - cited[topic] == set()
    assert set().union(*cited.values()) - clauses == set(), "every clause that is cited is in SPEC.md"


def test_every_clause_that_a_vector_can_show_is_cited(shipped: list[golden.Case]) -> None:
    """Fails when a clause about values or derivatives has no vector, or one that no vector can show is cited."""
    cited = {clause for case in shipped for clause in case.clauses}
    assert spec_clauses() - cited == NOT_IN_VECTORS


def test_set_is_large() -> None:
    """Fails when the set covers less than was promised."""
    assert len(golden.load()) >= 400


def test_topics_of_the_design_are_there(shipped: list[golden.Case]) -> None:
    """Fails when a topic is not listed, or has lost most of its cases."""
    counts = Counter(case.topic for case in shipped)
    assert counts.keys() == TOPICS.keys()
    assert {topic: count for topic, count in counts.items() if count < TOPICS[topic]} == {}


def test_topics_where_the_type_matters_have_every_type(shipped: list[golden.Case]) -> None:
    """Fails when a topic says nothing about 16-bit or 64-bit logits."""
    seen: dict[str, set[str]] = {}
    for case in shipped:
        if isinstance(logits := case.inputs.get("logits"), golden.Array):
            seen.setdefault(case.topic, set()).add(logits.dtype)
    for topic in EVERY_TYPE:
        assert seen[topic] == set(reference.FORMATS), topic
    assert seen["narrow_gradients"] == {"bfloat16", "float16"}


def test_every_flag_is_used_and_explained(shipped: list[golden.Case]) -> None:
    """Fails when a flag is explained for nothing."""
    assert {flag for case in shipped for flag in case.flags} == set(NOTES)


def visible_flags(case: golden.Case) -> set[str]:
    """Returns those flags that can be read off the inputs, of the ones in VISIBLE."""
    logits, targets, weights = (case.inputs.get(name) for name in ("logits", "targets", "weights"))
    if not isinstance(logits, golden.Array):
        return set()
    found = {
        "narrow_logits": logits.dtype in {"bfloat16", "float16"},
        "one_class": logits.shape[-1] == 1,
        "no_tokens": 0 in logits.shape,
        "values_only": not case.cotangents,
    }
    if isinstance(weights, golden.Array):
        found["negative_weight"] = any(weight < 0 for weight in weights.values)
    if case.function != "cross_entropy_with_logits":
        assert isinstance(targets, golden.Array)
        outside = any(not 0 <= target < logits.shape[-1] for target in targets.values)
        found["excluded"] = outside or (isinstance(weights, golden.Array) and 0 in weights.values)
        found["full_smoothing"] = exact(case, "label_smoothing") == 1 and logits.shape[-1] > 1
    assert found.keys() <= VISIBLE
    return {flag for flag, shown in found.items() if shown}


def test_flags_say_what_the_inputs_show(shipped: list[golden.Case]) -> None:
    """Fails when a case has a flag that its inputs do not show, or lacks one that they do."""
    for case in shipped:
        if case.function != "get_loss_normalizing_factor_and_weights":
            assert set(case.flags) & VISIBLE == visible_flags(case), f"{case.topic} {case.id}: {case.note}"


def test_set_stays_small() -> None:
    """Fails when the vectors outgrow what a package should carry."""
    files = (Path(golden.__file__).parent / "vectors").glob("*.json")
    assert sum(path.stat().st_size for path in files) < 2_000_000


def test_language_model_is_there(shipped: list[golden.Case]) -> None:
    """Fails when the topic of a model's real logits gets lost (VALUE-10)."""
    cases = [case for case in shipped if case.topic == "language_model"]
    assert {(case.inputs["logits"].dtype, len(case.inputs)) for case in cases} == {
        ("float32", 2),
        ("float32", 4),
        ("bfloat16", 2),
        ("bfloat16", 4),
    }
