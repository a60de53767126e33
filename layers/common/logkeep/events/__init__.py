"""Service events: segments, cards and pages of them. May import downloads and what downloads may import."""
