"""Service events: segments, cards and pages of them. May import downloads and all below it."""
