"""Service events of ModelArts."""
