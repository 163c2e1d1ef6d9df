"""What the tests share: private servers, a proxy that counts and cuts, documents, writers in other processes."""
