"""`awictl migrate`: move live sessions between Redis and MongoDB."""
