"""What the notes of the cases claim, checked against the stored answers by other means."""

import math
import re
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest

from lossproof import golden
from lossproof.golden._topic_worst_cases import HARD
from lossproof.spec import FORMATS


@pytest.fixture(scope="module", autouse=True)
def precise() -> None:
    """Decimal arithmetic that is exact enough for 40 digits, in all tests of this module."""
    with localcontext(Context(prec=400)):
        yield


def of(shipped: list[golden.Case], topic: str, pattern: str) -> list[tuple[golden.Case, re.Match[str]]]:
    """Returns the cases of a topic whose note matches a pattern, with what matched."""
    found = [(case, match) for case in shipped if case.topic == topic and (match := re.search(pattern, case.note))]
    assert found, f"no note of {topic} has the form {pattern}"
    return found


def losses(case: golden.Case) -> list[Decimal]:
    return [Decimal(text) for text in case.answers["loss"].decimal]


def rounded(number: Decimal) -> Decimal:
    """Returns the number to 40 digits, as it is stored."""
    return Context(prec=40).plus(number) if abs(number) > Decimal(2) ** -1400 else Decimal(0)


def log1p_exp(gap: Decimal) -> Decimal:
    """Returns log(1 + e^gap)."""
    return (1 + gap.exp()).ln()


def test_confident_tokens_have_the_loss_that_their_lead_gives(shipped: list[golden.Case]) -> None:
    """Fails when a lead in a note is not the one of the inputs, or the loss is not log1p of what the others add."""
    for case, lead in of(shipped, "confident_tokens", r"leads by ([\d.]+): the loss is log1p"):
        expected = (1 + (-Decimal(lead[1])).exp() * (1 + (-Decimal("0.5")).exp())).ln()
        assert [rounded(expected)] == losses(case)
    for case, lead in of(shipped, "confident_tokens", r"float(?:16|64): the target leads by ([\d.]+)[,:]? "):
        assert [rounded(log1p_exp(-Decimal(lead[1])))] == losses(case)


def test_offsets_change_neither_loss_nor_gradient(shipped: list[golden.Case]) -> None:
    """Fails when an offset is not exact in the inputs: the real-number answers would then differ."""
    groups: dict[tuple[str, str], list[golden.Case]] = {}
    for case, form in of(shipped, "offsets", r"^(\[.*\]) \+ |^(the target leads)|^(smoothed)"):
        groups.setdefault((case.inputs["logits"].dtype, form[0][:12]), []).append(case)
    assert len(groups) > 3
    for cases in groups.values():
        for field in ("answers", "gradients"):
            name = "loss" if field == "answers" else "logits"
            assert len({getattr(case, field)[name].decimal for case in cases}) == 1


CLOSED_FORMS: list[tuple[str, str, Callable[[], Decimal]]] = [
    ("confident_tokens", r"eight maxima: ln 8$", lambda: Decimal(8).ln()),
    ("offsets", r"ln\(1 \+ e\)( is left)?$", lambda: log1p_exp(Decimal(1))),
    ("offsets", r"the loss is 2 exactly$", lambda: Decimal(2)),
    ("masked_vocabulary", r"two equal classes are left: ln 2$", lambda: Decimal(2).ln()),
    ("masked_vocabulary", r"all but class \d masked: the loss is 0", lambda: Decimal(0)),
    ("masked_vocabulary", r"the same as -inf, ln\(1 \+ e\)", lambda: log1p_exp(Decimal(1))),
    ("smoothing_extremes", r"the loss and all derivatives are 0$", lambda: Decimal(0)),
    (
        "smoothing_extremes",
        r"^uniform logits: ln 4 - H",
        lambda: Decimal(4).ln() - Decimal(2).ln() - Decimal(3).ln() / 2,
    ),
    ("small_vocabularies", r"the loss is z = 1.125", lambda: Decimal("1.125")),
    ("small_vocabularies", r"^V = 2, both at .*: ln 2$", lambda: Decimal(2).ln()),
    ("small_vocabularies", r"ln 3, thirds$", lambda: Decimal(3).ln()),
    ("odd_vocabularies", r"the loss is 0$|; 1 left$", lambda: Decimal(0)),
    ("odd_vocabularies", r"the loss is ln 63$", lambda: Decimal(63).ln()),
    ("odd_vocabularies", r"the loss is ln 257", lambda: Decimal(257).ln()),
    ("dense_targets", r"the loss is x_1 - x_0 = -1.5", lambda: Decimal("-1.5")),
    ("many_tokens", r"^256 equal tokens", lambda: 256 * log1p_exp(Decimal(1))),
    ("many_tokens", r"one loss, ln\(1 \+ e\^0.5\), is left$", lambda: log1p_exp(Decimal("0.5"))),
    ("peer_bugs", r"for ln 2", lambda: Decimal(2).ln()),
    ("peer_bugs", r"for ln 4$", lambda: Decimal(4).ln()),
]


@pytest.mark.parametrize(("topic", "pattern", "closed_form"), CLOSED_FORMS)
def test_losses_are_the_closed_forms_of_the_notes(
    shipped: list[golden.Case], topic: str, pattern: str, closed_form: Callable[[], Decimal]
) -> None:
    """Fails when a note says another number than the case has."""
    for case, _ in of(shipped, topic, pattern):
        assert {rounded(closed_form())} == set(losses(case)), case.note


def test_small_smoothing_leaves_as_many_digits_as_the_notes_say(shipped: list[golden.Case]) -> None:
    """Fails when a note promises digits of the loss of e = 0 that the case does not have."""
    (plain,) = [case for case in shipped if case.note == "ln(1 + e + e^2)"]
    for case, digits in of(shipped, "smoothing_extremes", r"that of e = 0 to (\d+) digits"):
        first, second = (str(losses(one)[0]).replace(".", "") for one in (case, plain))
        same = next(i for i in range(40) if first[i] != second[i])
        assert int(digits[1]) == same


def test_gradients_halfway_are_rounded_to_even(shipped: list[golden.Case]) -> None:
    """Fails when a case that should be a tie is none, or is rounded otherwise than the note says."""
    for case, where in of(shipped, "narrow_gradients", r"even is (above|below)$|float32 (above|below) halfway"):
        weight, dtype = case.inputs["weights"].values[0], case.inputs["logits"].dtype
        spacing = 2.0 ** -FORMATS[dtype].precision  # of [0.5, 1)
        below = math.floor(weight / 2 / spacing) * spacing
        up = "above" in {where[1], where[2]}
        assert (weight / 2 - below == spacing / 2) == (where[1] is not None)
        assert (-1.0 * (below + spacing * up), below + spacing * up) == case.gradients["logits"].rounded[dtype]


def test_hard_cases_are_as_near_to_halfway_as_they_say(shipped: list[golden.Case]) -> None:
    """Fails when a stored answer is farther from halfway between two floats than its note says."""
    cases = [case for case in shipped if "hard_to_round" in case.flags]
    assert len(HARD) == len(cases)
    for case, (what, _, gap, result, k) in zip(cases, HARD, strict=True):
        assert (0.0, -gap) == case.inputs["logits"].values
        answer = case.gradients["logits"].decimal[1] if what == "gradient" else case.answers["loss"].decimal[0]
        value = Fraction(answer)
        spacing = Fraction(2) ** (math.frexp(value)[1] - FORMATS[result].precision)
        assert abs(value / spacing % 1 - Fraction(1, 2)) < Fraction(2) ** -k, case.note


def test_peer_bugs_say_where_they_were_seen(shipped: list[golden.Case]) -> None:
    """Fails when an accusation has no source."""
    for case in shipped:
        if case.topic == "peer_bugs":
            assert "peer_bug" in case.flags
            assert re.search(
                r"^for the defect of https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/\d+$|, and run with ",
                case.provenance,
            )


def test_worst_cases_say_how_they_were_found(shipped: list[golden.Case]) -> None:
    """Fails when a search cannot be repeated, or the implementation is said to use more than its bound."""
    for case in shipped:
        if case.topic == "worst_cases":
            assert "benchmarks/find_worst_cases.py" in case.provenance
            own = re.search(r"lossproof ([\d.]+)", case.provenance)
            assert own is None or float(own[1]) <= 1
