"""Archives of backups: opened, verified, restored. May import backups and all below it."""
