"""Programs as loops over flat arrays: text that numba compiles."""
