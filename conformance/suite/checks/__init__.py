"""The checks, by group."""

from lossproof.conformance.suite.checks import (
    accuracy as accuracy,
    factors as factors,
    gradients as gradients,
    invariances as invariances,
    keywords as keywords,
    production as production,
    shapes as shapes,
    split as split,
    states as states,
    values as values,
)
from lossproof.conformance.suite.pairs import calls as calls
from lossproof.conformance.suite.survey import surveys as surveys
