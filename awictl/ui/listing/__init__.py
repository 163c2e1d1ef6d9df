"""The list of sessions that the pages of the inspector share."""
