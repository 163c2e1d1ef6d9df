"""The page of one session as one file, which opens without a server."""
