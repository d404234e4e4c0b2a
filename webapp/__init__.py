"""HTTP, sign-in, pages and use cases: the only package that knows the other two."""
