"""What pages are shown: computed once for several requests, compared, redacted, and cut to what a page can show."""
