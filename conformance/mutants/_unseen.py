"""Broken losses of which no run has shown yet that level standard notices them: they are not in the matrix."""

UNSEEN = ("last_block_dropped_with_entropy_alone",)
