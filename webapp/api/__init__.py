"""The HTTP API, `/api/v1`: what `design.md` calls the public surface, and nothing of the pages."""
