"""How accurate a target is, without a verdict."""
