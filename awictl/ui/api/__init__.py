"""What the pages of the inspector load, a module per page."""
