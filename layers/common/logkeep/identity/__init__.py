"""Who is calling and what they may do: credentials, signatures, tokens, limits. May import aws and the leaves."""
