"""The expression language of `--where`: which sessions to list, end, touch, export or verify (docs/select.md)."""
