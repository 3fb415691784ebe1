"""Searches for inputs that are hard to round, or that use most of the bounds, and prints them as rows to paste.

The rows of golden/_topic_worst_cases.py come from here. Two searches:

hard     V = 2. The loss log1p(e^-d), or d + log1p(e^-d), and the gradient 1 / (1 + e^d), for every gap d of bfloat16
         and float16 and a random sample of those of float32: which lie nearest to halfway between two floats? There
         a tiny error decides the last bit, and a result that is rounded twice is wrong (the table maker's dilemma:
         V. Lefevre, J.-M. Muller, "Worst Cases for Correct Rounding of the Elementary Functions in Double Precision",
         ARITH 2001).
climb    Small shapes. From the best of some random starts, change one number at a time and keep what uses more of the
         bound of grade A.

    python benchmarks/find_worst_cases.py hard
    python benchmarks/find_worst_cases.py climb --target optax

The same seed, versions and machine print the same rows.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossproof.conformance.judging.case import DTYPES, Case
from lossproof.conformance.judging.draw import generator, make, unit_cotangents
from lossproof.conformance.judging.exact import exact_gradients, exact_values
from lossproof.conformance.judging.judge import utilisation
from lossproof.conformance.targets import Target, load_target
from lossproof.reference.bounds import Bounds, with_final_rounding
from lossproof.spec import DENSE, FORMATS, TOKEN

SAMPLE = 2**22  # gaps of float32
KEPT = 1  # rows of each kind
SMALLEST_GAP = 2.0**-12
LARGEST_GAP = 87.0  # beyond it e^-d is subnormal in float32

STARTS, STEPS = 200, 600
CONFIDENT = 2.0**-6  # losses below it
PEERS = ("lossproof", "optax", "torch")
E, K = float(np.float32(0.1)), float(np.float32(1e-3))
KINDS: dict[str, tuple[str, int, dict[str, float]]] = {
    "hard targets, V = 2": (TOKEN, 2, {}),
    "hard targets, V = 3": (TOKEN, 3, {}),
    "hard targets, V = 8": (TOKEN, 8, {}),
    "smoothed, V = 3": (TOKEN, 3, {"label_smoothing": E}),
    "smoothed with z-loss, V = 5": (TOKEN, 5, {"label_smoothing": E, "z_loss": K}),
    "dense targets, V = 3": (DENSE, 3, {"z_loss": K}),
}


def gaps(dtype: str, seed: int) -> np.ndarray:
    """Returns all gaps of a 16-bit type, or a random sample of those of float32."""
    if dtype == "float32":
        low, high = np.array([SMALLEST_GAP, LARGEST_GAP], np.float32).view(np.int32)
        return generator(seed).integers(low, high, SAMPLE, np.int32).view(np.float32)
    low, high = np.array([SMALLEST_GAP, LARGEST_GAP], DTYPES[dtype]).view(np.uint16)
    return np.arange(low, high, dtype=np.uint16).view(DTYPES[dtype])


def from_halfway(values: np.ndarray, dtype: str) -> np.ndarray:
    """Returns how far positive values are from halfway between two neighbours of a type, in its ulp."""
    _, exponents = np.frexp(values)
    form = FORMATS[dtype]
    spacing = np.ldexp(np.longdouble(1), np.maximum(exponents, form.min_exponent + 1) - form.precision)
    scaled = values / spacing
    distances: np.ndarray = np.abs(scaled - np.floor(scaled) - np.longdouble(0.5))
    return distances


def hard(seed: int) -> Iterator[str]:
    """Yields, for each type of gap and of result, the gaps whose loss or gradient is nearest to halfway."""
    for dtype in ("bfloat16", "float16", "float32"):
        found = gaps(dtype, seed)
        d = found.astype(np.longdouble)
        rest = np.log1p(np.exp(-d))  # 64 bits: enough for a distance of 2^-30 ulp of float32
        quantities = [
            ("confident", rest, ("bfloat16", "float16", "float32")),
            ("far", d + rest, ("bfloat16", "float16", "float32")),
            ("gradient", 1 / (1 + np.exp(d)), (dtype,)),
        ]
        for what, values, results in quantities:
            for result in results:
                ordinary = values > 2.0 ** FORMATS[result].min_exponent
                distances = np.where(ordinary, from_halfway(values, result), 1.0)
                # Neighbours of a tie that every algorithm meets, such as d itself once log1p(e^-d) is below its ulp.
                distances = np.where((what == "far") & (rest < 2.0**-20), 1.0, distances)
                for i in np.argsort(distances, kind="stable")[:KEPT]:
                    bits = float(-np.log2(distances[i]))
                    yield f'("{what}", "{dtype}", {float(found[i])!r}, "{result}", {int(bits)}),'


@dataclass(frozen=True)
class Found:
    """A case, and how much of a bound a target uses."""

    case: Case
    share: float


def climb(name: str, seed: int) -> Iterator[str]:
    """Yields the worst case of each kind and quantity that the target has, with what every target uses of the bound."""
    target = load_target(name)
    for label, (function, classes, scalars) in KINDS.items():
        if not _takes(target, function, scalars):
            continue
        shares_of = _shares(target, _random_case(generator(seed), function, classes, scalars))
        for quantity in shares_of:
            rng = generator(seed)
            cases = [_random_case(rng, function, classes, scalars) for _ in range(STARTS)]
            best = max((_judged(target, case, quantity) for case in cases), key=lambda found: found.share)
            for _ in range(STEPS):
                found = _judged(target, _changed(rng, best.case), quantity)
                best = max(best, found, key=lambda found: found.share)
            if best.share == 0:  # a quantity that is 0 throughout
                continue
            inputs = {key: np.asarray(value).tolist() for key, value in best.case.inputs.items()}
            used = {
                peer: round(_shares(load_target(peer), best.case).get(quantity, np.nan), 2)
                for peer in PEERS
                if _takes(load_target(peer), function, scalars)
            }
            yield f"({label!r}, {inputs!r}, {name!r}, {quantity!r}, {used}),"


def _takes(target: Target, function: str, scalars: dict[str, float]) -> bool:
    """Whether the target has the function with these scalars, smoothed as in SPEC.md."""
    offer = target.offers.get(function)
    own = "label_smoothing" not in scalars or target.convention.smoothing == "others"
    return offer is not None and own and {*scalars} <= {*offer.arguments}


def _random_case(rng: np.random.Generator, function: str, classes: int, scalars: dict[str, float]) -> Case:
    logits = rng.normal(size=(1, classes)) * rng.choice([0.25, 1.0, 4.0, 16.0]) + rng.choice([0.0, 0.0, 8.0, -100.0])
    place = rng.integers(0, classes, 1)
    targets = rng.uniform(-0.5, 1, logits.shape) if function == DENSE else place
    return make(function, "float32", logits, targets, **scalars)


def _changed(rng: np.random.Generator, case: Case) -> Case:
    """Returns the case with one logit, or one dense target, moved by some ulps or by up to 1."""
    name = "targets" if case.function == DENSE and rng.integers(2) else "logits"
    numbers = np.array(case.inputs[name])
    i = rng.integers(numbers.size)
    if rng.integers(2):
        numbers.flat[i] += np.spacing(numbers.flat[i]) * rng.integers(-64, 65)
    else:
        numbers.flat[i] += np.float32(rng.normal() * 2.0 ** -rng.integers(0, 16))
    return case.with_inputs(**{name: numbers})


def _judged(target: Target, case: Case, quantity: str) -> Found:
    """Confident tokens count nothing: what they show is known, and has a topic of its own."""
    confident = exact_values(case, target.convention)["loss"].high < CONFIDENT
    return Found(case, 0.0 if np.any(confident) else _shares(target, case)[quantity])


def _shares(target: Target, case: Case) -> dict[str, float]:
    """Returns the utilisation of the bounds of grade A, by quantity."""
    bounds, cotangents = Bounds(case, target.convention, "A"), unit_cotangents(case)
    values, gradients = target.differentiate(case, cotangents)
    exact, by = exact_values(case, target.convention), exact_gradients(case, cotangents, target.convention)
    allowed, allowed_by = bounds.values(), bounds.gradients(cotangents)
    shares = {name: utilisation(values[name], exact[name], allowed[name]) for name in values}
    for name, gradient in gradients.items():
        bound = with_final_rounding(allowed_by[name], by[name].magnitude, "float32")
        shares[f"the derivative by {name}"] = utilisation(gradient, by[name], bound)
    return {name: float(np.max(share)) for name, share in shares.items()}


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("search", choices=["hard", "climb"])
    parser.add_argument("--target", default="lossproof", help="of climb: a target of `lossproof check`")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for row in hard(args.seed) if args.search == "hard" else climb(args.target, args.seed):
        print(row, flush=True)


if __name__ == "__main__":
    main()
