"""What made the tables and the models of docs/results, as resumable lists of textok commands."""
