"""Events of services: segments, cards, pages and search. May import downloads and all below it."""
