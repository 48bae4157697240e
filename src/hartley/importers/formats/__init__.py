"""One file for each tool whose results are read; ``read_results.Format`` says what one has."""
