"""Functions of JAX, NumPy and PyTorch as targets."""
