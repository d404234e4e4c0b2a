"""The embedded demonstration model: its weights, its card, and the scripts that made it."""
