"""Shared by the tests: private servers, a proxy that counts and cuts connections, documents, runners of commands."""
