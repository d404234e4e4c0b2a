"""Golden checkpoints of our own: tiny published layouts with expectations from plain parts.

    OMP_NUM_THREADS=1 python -m tests.unit.families.goldens OUT

Nothing of `inference` is imported here. Expectations come from transformers' separate models,
processors and `generate`, from sentencepiece, and from prompts written out by hand, so that they
do not share a mistake with the code they test. `tests/data/families` holds what the command wrote.
"""
