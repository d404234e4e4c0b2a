"""Pixels as arrays: decoding, windows, the order of slices, and pictures of single frames."""
