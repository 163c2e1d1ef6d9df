"""Measurements that users run on their own servers, sessions and pages."""
