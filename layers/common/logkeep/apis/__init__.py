"""The published APIs, one folder each (Kuscia is kuscia/), and Logkeep's own in logs/. May import every other room."""
