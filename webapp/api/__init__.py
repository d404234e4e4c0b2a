"""The HTTP API, `/api/v1`: what programs outside drive, and nothing of the pages."""
