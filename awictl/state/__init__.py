"""The session state and its rules: pure functions over plain JSON values, no I/O."""
