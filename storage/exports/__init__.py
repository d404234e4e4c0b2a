"""Turn reviews into training data: one review, several formats.

The formats agree on which reviews count, how patients are split and where images lie; they
differ only in how a row is written (`rows`). Equal data give equal bytes.
"""
