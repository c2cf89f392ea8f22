"""Test helpers: clips, small runs, servers, processes and random embeddings."""
