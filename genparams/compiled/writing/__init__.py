"""Programs as Python functions that call numpy."""
