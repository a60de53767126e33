"""Who sends a request and what it may do: credentials, signatures, tokens, limits. May import aws and the leaves."""
