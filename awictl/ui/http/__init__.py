"""How the inspector answers: who has access, responses, streams of events, static files."""
