"""Move live sessions between Redis and MongoDB."""
