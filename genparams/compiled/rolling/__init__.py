"""Loops of a recording as operations on arrays over the iterations."""
