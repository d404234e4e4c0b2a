"""Say what the rules make of a sentence, and why: `python -m inference.safety "A sentence"`."""

import sys

from inference.safety.rules import policy


def explained(sentence: str) -> str:
    """Return the policy, the rules that speak and, for the second opinion, what weighed most."""
    reading = policy().reader.read(sentence)
    lines = [f"policy {policy().version}"]
    lines += [f"read as: {statement.strip()}" for statement in reading.statements]
    for rule in policy().speaking(reading):
        lines.append(f"{rule.id}: {rule.effect}")
        if rule.opinion is not None:
            sum_ = rule.opinion.of(reading.features)
            lines.append(f"  log-odds {sum_:.2f}, from {rule.opinion.yes_from} the rule speaks")
            weighed = rule.opinion.weighed(reading.features)
            lines += [f"  {share:+.2f} {what}" for what, share in weighed]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.writelines(f"{explained(sentence)}\n" for sentence in sys.argv[1:])
