"""Sign-in with an institution's identity provider: OpenID Connect, authorization code, PKCE.

What a provider says of itself decides nothing about safety: issuer, algorithm, origins and roles
come from the operator's file.
"""
