"""The cache of images and their embeddings, and the search for similar images."""
