"""The control plane: puts the rooms together and serves them over HTTP."""
