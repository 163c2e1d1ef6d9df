"""The cache of query results: entries, cache keys, and the diagnosis of cache misses."""
