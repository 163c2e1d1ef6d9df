"""Diagnostics for operators: key statistics, session activity, monitored commands, and health checks."""
