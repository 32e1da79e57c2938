"""Letters only: the results of the book, every step checked, nothing measured."""
