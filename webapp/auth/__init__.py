"""Who is asking, and whether that door is open to them: the gate before every route."""
