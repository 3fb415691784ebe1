"""The specification, SPEC.md, and its words: clauses, functions, arguments, floating-point types, conventions.

It needs the standard library alone, and everything else may lean on it.

Example:
  >>> from lossproof.spec import CLAUSES
  >>> CLAUSES["VALUE-8"].title, CLAUSES["VALUE-8"].text
  ('log_z', 'log_z = lse.')
"""

from lossproof.spec._clauses import CLAUSES as CLAUSES, GROUPS as GROUPS, NOTATION as NOTATION, Clause as Clause
from lossproof.spec._convention import LOSSPROOF as LOSSPROOF, Convention as Convention
from lossproof.spec._formats import FORMATS as FORMATS, FloatFormat as FloatFormat
from lossproof.spec._functions import (
    ARGUMENTS as ARGUMENTS,
    DENSE as DENSE,
    FACTOR as FACTOR,
    FURTHER as FURTHER,
    KEYWORDS as KEYWORDS,
    OUTPUTS as OUTPUTS,
    SCALARS as SCALARS,
    TOKEN as TOKEN,
    WEIGHTED as WEIGHTED,
)
