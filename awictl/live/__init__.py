"""What goes on now: in one session, in all of them, and on the server. Nothing here writes."""
