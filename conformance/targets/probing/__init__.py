"""What a function is, found by calling it: its parameters, results, limits and convention."""
