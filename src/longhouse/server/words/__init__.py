"""The words of existing clients: their bodies and answers, and what these mean in ours."""
