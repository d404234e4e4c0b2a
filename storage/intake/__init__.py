"""The study door: the only way for files to become stored images.

Four lines of defence, each in its own module and each measurable: a bounded scan of bytes,
a sandboxed decode, a default-deny allow-list that rebuilds the dataset, and a person's
attestation of the pixels. Only a `Deidentified` value leaves this package.
"""
