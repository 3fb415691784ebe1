"""Why a target was not asked for what a clause speaks of: it does not offer it."""

from lossproof.conformance.judging.charges import SUBJECTS, by, cotangent_of
from lossproof.conformance.suite.asking.run import DIFFERENTIATED, Run
from lossproof.conformance.targets import Target
from lossproof.spec import ARGUMENTS, FURTHER, OUTPUTS, SCALARS, TOKEN


def lacking(run: Run) -> dict[str, str]:
    """What the target does not offer of that which a unit's clauses speak of, with the reasons, by subject."""
    found = {subject: lack(run.target, run.function, subject) for subject in _not_compared(run)}
    return {subject: reason for subject, reason in found.items() if reason}


def refused(run: Run) -> tuple[str, ...]:
    """The other subjects that were not compared."""
    return tuple(subject for subject in _not_compared(run) if not lack(run.target, run.function, subject))


def _not_compared(run: Run) -> list[str]:
    subjects = dict.fromkeys(subject for clause in run.clauses for subject in SUBJECTS[clause])
    compared = {subject for counts in run.tally.compared.values() for subject in counts}
    return [subject for subject in subjects if subject not in compared and _has(run.function, subject)]


def _has(function: str, subject: str) -> bool:
    """Whether a function may have a subject; what is neither an output nor an argument any has."""
    outputs = (*OUTPUTS.get(function, ()), *(FURTHER if function == TOKEN else ()))
    foreign = {name for names in (*OUTPUTS.values(), FURTHER) for name in names} - set(outputs)
    arguments = {by(name) for name in DIFFERENTIATED} - {by(name) for name in ARGUMENTS.get(function, ())}
    return subject not in {*foreign, *map(cotangent_of, foreign), *arguments}


def lack(target: Target, function: str, subject: str) -> str:
    """Why the target does not offer a subject that the function may have; "" if it does."""
    if function not in target.offers:
        return f"{target.name} has no {function}"
    offer = target.offers[function]
    outputs = (*offer.outputs, *(FURTHER if "also" in offer.arguments else ()))
    for output in (*OUTPUTS.get(function, ()), *FURTHER):
        if subject in (output, cotangent_of(output)) and output not in outputs:
            return f"{target.name}'s {function} has no output {output}"
    for argument in ARGUMENTS.get(function, ()):
        if subject == by(argument):
            if argument not in offer.arguments:
                return f"{target.name}'s {function} has no argument {argument}"
            if argument in SCALARS and not target.scalars_differentiable:
                return f"{target.name} does not declare that its scalars may be traced"
    return ""
