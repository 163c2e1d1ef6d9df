"""The web inspector: pages that show sessions, agents, caches and findings in a browser. It only reads."""
