"""One log read: backwards, in pages, as it grows. May import downloads and all below it."""
