"""Backups of clusters: settings, records, cuts, runs, retention. May import events and all below it."""
