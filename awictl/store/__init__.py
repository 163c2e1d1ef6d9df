"""The stores of live sessions."""
