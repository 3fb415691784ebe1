"""The checks, by group."""

from lossproof.conformance.checks import (
    accuracy as accuracy,
    factors as factors,
    gradients as gradients,
    keywords as keywords,
    shapes as shapes,
    states as states,
    values as values,
)
