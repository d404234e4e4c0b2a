"""A certified OpenID provider under Node.js, and an Overread that trusts it."""
