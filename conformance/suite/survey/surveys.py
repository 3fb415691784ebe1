"""What is measured without a verdict: accuracy, grade by grade."""

from lossproof.conformance.judging.case import DTYPES
from lossproof.conformance.suite.asking.run import Run
from lossproof.conformance.suite.registry import check
from lossproof.conformance.suite.survey._survey import survey
from lossproof.conformance.targets import NotApplicable
from lossproof.spec import TOKEN, WEIGHTED


@check("survey.values", dtypes=tuple(DTYPES), is_quick=False)
def values(run: Run) -> None:
    """The loss of each token."""
    _require_its_own(run)
    run.tally.survey = survey(run, "values").to_json()


@check("survey.gradients", dtypes=tuple(DTYPES), is_quick=False)
def gradients(run: Run) -> None:
    """Its derivative by the logits."""
    _require_its_own(run)
    run.tally.survey = survey(run, "gradients").to_json()


def _require_its_own(run: Run) -> None:
    """Raises NotApplicable for totals of tokens that are measured one by one."""
    if run.function == WEIGHTED and TOKEN in run.target.offers:
        raise NotApplicable(f"{TOKEN} tells how accurate {run.target.name} is")
