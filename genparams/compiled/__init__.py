"""A second way to compute the gradients of a function: recorded once, and replayed as code.

`recording` notes the operations of a gradient. `algebra` simplifies them, `rolling` makes arrays of
loops, and `writing` and `native` make code of the program, for numpy and for numba. `static`
decides when a program is used, and `programs` which are kept.
"""
