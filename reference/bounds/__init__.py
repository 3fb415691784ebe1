"""The exact first-order error bound of a good algorithm, for every output and every derivative (NumPy).

Derived in docs/error-analysis.md. An implementation's error as a share of it is its utilisation.
"""

from lossproof.reference.bounds._bounds import (
    Bounds as Bounds,
)
from lossproof.reference.bounds._call import (
    Array as Array,
    Call as Call,
)
from lossproof.reference.bounds._prediction import (
    PredictionBounds as PredictionBounds,
)
from lossproof.reference.bounds._profiles import (
    JAX_CPU as JAX_CPU,
    Functions as Functions,
    Profile as Profile,
    profile as profile,
    profile_names as profile_names,
    profiles_version as profiles_version,
)
from lossproof.reference.bounds._roundings import (
    before_final_rounding as before_final_rounding,
    depth as depth,
    smallest_normal as smallest_normal,
    sum_bound as sum_bound,
    unit_in_last_place as unit_in_last_place,
    unit_roundoff as unit_roundoff,
    with_final_rounding as with_final_rounding,
)
from lossproof.reference.bounds._terms import (
    Terms as Terms,
)
from lossproof.reference.bounds._units import (
    Grade as Grade,
)
from lossproof.spec import (
    DENSE as DENSE,
    TOKEN as TOKEN,
    WEIGHTED as WEIGHTED,
)
