"""HTTP: routes, proofs of identity, error bodies and answers, over powertools."""
