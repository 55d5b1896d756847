"""What an operator may ask a running agent: the verbs of its control socket."""
