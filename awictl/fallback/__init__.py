"""What is done while Redis is away: sessions go on in a journal in MongoDB, and are brought home afterwards."""
