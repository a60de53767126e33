"""What a log is: fragments, levels, heads, registrations and their store. May import web and all below it."""
