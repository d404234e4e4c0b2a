"""Rules on what a model may say to a reader, as data with a version, and the filter applying them.

Advice on treatment is withheld; what may be urgent, compares without a prior, claims certainty
or holds an identity is pointed out. The filter never adds an instruction of its own.
"""

from inference.safety.contradiction import contradicts
from inference.safety.rules import Policy, Rule, policy
from inference.safety.stream import Flag, StreamFilter, screen

__all__ = ["Flag", "Policy", "Rule", "StreamFilter", "contradicts", "policy", "screen"]
