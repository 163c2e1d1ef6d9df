"""What a session document is: pure functions over plain JSON values, no I/O."""
