"""Experiments and the command line: the rightmost layer, which may import all the others."""
