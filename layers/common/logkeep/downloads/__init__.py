"""Files made of logs and handed out: archives, renders, links. May import logs and all below it."""
