"""What a server needs on top of uvicorn: bounds on requests and connections."""
