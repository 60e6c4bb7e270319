"""Looking at every file of a data set before it is trained on, and saying what is wrong and what to do."""
