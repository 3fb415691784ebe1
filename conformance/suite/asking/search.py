"""The search for inputs: Hypothesis draws cases that the target takes, and shrinks one that fails."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from lossproof.conformance.judging.case import Case
from lossproof.conformance.judging.draw import SHAPES, Options, cases
from lossproof.conformance.judging.judge import VoidCaseError
from lossproof.conformance.suite.asking.abilities import Abilities
from lossproof.conformance.targets import OutsideLimits
from lossproof.reference import UndecidedError
from lossproof.spec import DENSE

# Cases per exploration; a check may ask for a multiple. Smoke is no conformance result.
EXAMPLES = {"smoke": 3, "standard": 20, "exhaustive": 2000}

# The shape that smoke makes do with: most of a short run goes into compiling, once for each shape.
QUICK = ((4, 16),)


class Search(Abilities):
    """Draws cases for a unit of work."""

    @property
    def is_broad(self) -> bool:
        """Whether more than one shape is tried; each is compiled for, and other types have those of the cells."""
        return self.level == "exhaustive" or (self.level == "standard" and self.dtype == "float32")

    @property
    def has_two_axes(self) -> bool:
        """Whether tokens of two axes are tried beside those of one: also where a target takes a few ranks alone, as the
        shapes that stand for others then have one token along an axis.
        """
        return self.is_broad or bool(self.target.limits.ranks)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Small shapes of logits."""
        return SHAPES if self.is_broad else QUICK

    @property
    def wide(self) -> tuple[tuple[int, ...], ...]:
        """Shapes with a longer row among them, for accuracy; only some dtypes, for time."""
        if self.level == "smoke":
            return QUICK
        return (*self.shapes, (1, 1000)) if self.dtype in ("float32", "bfloat16") else self.shapes

    def cases(
        self,
        options: Options = Options(),  # noqa: B008  frozen
        *,
        bare: bool = False,
        exactly: bool = False,
        **keywords: Any,
    ) -> st.SearchStrategy[Case]:
        """`_draw.cases` for this unit.

        Args:
          options: which arguments are drawn.
          bare: whether the others are left at their defaults. Otherwise, where scalars may be traced, they are passed
            with neutral values (weights 1, e = k = 0, L = 1), so that one compiled program serves most checks.
          exactly: whether shapes must be what they are; otherwise those that the target takes stand for them.
          **keywords: of `_draw.cases`.

        Returns:
          A strategy.
        """
        if self.function == DENSE and self.has("z_loss") and options.z_loss is False:
            options = replace(options, z_loss=0.0)  # an argument without a default
        traced = self.target.scalars_differentiable
        limits = self.target.limits
        wanted = tuple(keywords.setdefault("shapes", self.shapes))
        shapes = tuple(dict.fromkeys(map(limits.nearest, wanted)))
        if shapes != wanted:
            for shape in wanted if exactly else ():
                limits.require_shape(shape)
            keywords = {**keywords, "shapes": shapes}
        drawn = cases(self.function, self.dtype, options, traced=traced, **keywords)
        if limits.masks:
            drawn = drawn.map(_masked)
        return drawn if bare or not traced else drawn.map(self.completed)

    def completed(self, case: Case) -> Case:
        """The case with neutral values for the other arguments, where scalars may be traced."""
        if not self.target.scalars_differentiable:
            return case
        neutral = {
            "weights": np.ones(case.logits.shape[:-1], case.carried),
            "label_smoothing": 0.0,
            "z_loss": 0.0,
            "loss_normalizing_factor": 1.0,
        }
        missing = {name: value for name, value in neutral.items() if self.has(name) and name not in case.inputs}
        return case.with_inputs(**missing)

    def explore(self, strategy: st.SearchStrategy[Any], examine: Callable[[Any], None], share: float = 1.0) -> None:
        """Calls `examine` on many draws; a failing one is shrunk, and its error raised.

        A void draw (`refuse_void`) is thrown away and another one taken; where more than half are void, the
        exploration is. What is outside the target's limits is left out; where all is, the exploration is unsupported.
        """
        examples = max(2, round(EXAMPLES[self.level] * share))
        judged, reason = 0, ""
        outside: OutsideLimits | None = None

        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=(hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink),
        )
        @hypothesis.given(strategy)
        def explore(drawn: Any) -> None:
            nonlocal judged, reason, outside
            self._climb = 0.0
            self.calls.begin_draw()
            try:
                examine(drawn)
            except (VoidCaseError, UndecidedError) as void:
                reason = str(void)
                hypothesis.reject()
            except OutsideLimits as unfit:
                outside = unfit
                return
            judged += 1
            hypothesis.target(self._climb, label="utilisation")

        with _own_constants_only():
            explore()
        self.calls.end_draws()
        if judged == 0 and outside is not None:
            raise outside
        if judged < examples / 2 and reason:
            raise VoidCaseError(f"only {judged} of {examples} draws could be judged: {reason}")


@contextlib.contextmanager
def _own_constants_only() -> Iterator[None]:
    """Keeps Hypothesis from mixing in numbers that it reads in the source of whatever modules are loaded.

    Otherwise equal seeds draw different cases in different processes.

    Raises:
      RuntimeError: the hook, which is private, is not where it was.
    """
    try:
        from hypothesis.internal.conjecture import providers
        from hypothesis.internal.constants_ast import Constants

        saved = providers._get_local_constants  # noqa: SLF001
    except (ImportError, AttributeError) as moved:
        raise RuntimeError(
            f"hypothesis {hypothesis.__version__} has moved the hook that keeps it from constants of loaded modules, "
            "without which equal seeds draw different cases: install another version, from 6.135 on"
        ) from moved
    providers._get_local_constants = Constants  # noqa: SLF001
    try:
        yield
    finally:
        providers._get_local_constants = saved  # noqa: SLF001


def _masked(case: Case) -> Case:
    """Weights as a mask, which leaves out what the weights would."""
    weights = case.inputs.get("weights")
    return case if weights is None else case.with_inputs(weights=np.asarray(weights) != 0)
