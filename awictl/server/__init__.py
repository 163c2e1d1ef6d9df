"""The HTTP API of the Express app, served by the state manager, and the app's middleware for ASGI sites."""
