"""Recorded trajectories: readers of several formats behind one interface.

The rest is loaded on first use: no format's library is needed to read another format.
"""
