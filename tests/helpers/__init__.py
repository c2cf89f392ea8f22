"""What several tests share: clips to write, small runs to train, servers, processes and rows of numbers."""
