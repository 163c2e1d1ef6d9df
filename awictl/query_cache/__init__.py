"""Cached results of queries: the cache, the cache key, and the diagnosis of cache misses."""
