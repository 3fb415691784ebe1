"""Golden vectors: exact inputs with answers to 40 digits, for any language (README.md has the format)."""

from lossproof.golden._case import (
    Answer as Answer,
    Array as Array,
    Case as Case,
    Scalar as Scalar,
)
from lossproof.golden._cli import (
    cli as cli,
)
from lossproof.golden._errors import (
    GoldenError as GoldenError,
    SelectionError as SelectionError,
)
from lossproof.golden._functions import (
    answer as answer,
)
from lossproof.golden._load import (
    load as load,
)
from lossproof.golden._regenerate import (
    import_model as import_model,
    promote as promote,
    regenerate as regenerate,
)
from lossproof.golden._verify import (
    Difference as Difference,
    Verification as Verification,
    verify as verify,
)
