"""What every test runs under: jax where it refuses to guess."""

import jax

from lossproof.conformance.suite.units import collect_rarely
from lossproof.conformance.targets.frameworks._devices import provide_devices

collect_rarely()

# Before JAX starts, as the checks of several devices want them, and any test may be the one that starts it.
provide_devices()
# Promotion that jax would do silently hides a value carried in another type; the code must ask for every one.
jax.config.update("jax_numpy_dtype_promotion", "strict")
# Broadcasting that adds axes hides a shape mistake (SHAPE-1: nothing is broadcast).
jax.config.update("jax_numpy_rank_promotion", "raise")
