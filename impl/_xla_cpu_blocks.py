"""The blocks that XLA:CPU's passes cut rows into."""

SHORTEST, USUAL, LONGEST = 64, 256, 2048  # shorter ones are many, copies of longer ones large
SHARDS = 32  # a vocabulary of a multiple of so many blocks can be sharded block by block


def block_length(classes: int, usual: int = USUAL, longest: int = LONGEST) -> int | None:
    """The length of the blocks that a row is cut into, a divisor of V; None where only copies of rows can be cut.

    Of the divisors from SHORTEST to `longest` one that leaves a count of blocks that is divisible by the highest power
    of 2 (up to SHARDS); among these the one nearest to `usual`.
    """
    if classes <= SHORTEST:
        return classes

    def preference(b: int) -> tuple[int, float]:
        count = classes // b
        return -min(count & -count, SHARDS), max(b / usual, usual / b)

    fitting = (b for b in range(SHORTEST, min(longest, classes // 2) + 1) if classes % b == 0)
    return min(fitting, key=preference, default=None)
