"""Packed copies: all frames of a data set in one checked file, small enough to be read at once."""
