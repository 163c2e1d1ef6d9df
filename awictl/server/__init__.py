"""The HTTP API of the Express app, over the state manager; and the app's middleware, for Python sites."""
