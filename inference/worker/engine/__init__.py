"""Answers many requests at once with one set of weights; knows no family and no HTTP."""
