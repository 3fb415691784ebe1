"""The specification, SPEC.md, and what it is made of: groups of clauses, and the formulas of its notation.

It needs the standard library alone, and everything else may lean on it.

Example:
  >>> from lossproof.spec import CLAUSES
  >>> CLAUSES["VALUE-8"].title, CLAUSES["VALUE-8"].text
  ('log_z', 'log_z = lse.')
"""

from lossproof.spec._clauses import CLAUSES as CLAUSES, GROUPS as GROUPS, NOTATION as NOTATION, Clause as Clause
