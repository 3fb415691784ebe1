"""The checks, by group."""

from lossproof.conformance.checks import (
    accuracy as accuracy,
    calls as calls,
    factors as factors,
    gradients as gradients,
    invariances as invariances,
    keywords as keywords,
    production as production,
    shapes as shapes,
    split as split,
    states as states,
    survey as survey,
    values as values,
)
