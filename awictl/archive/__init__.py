"""Where ended sessions go."""
