"""`python -m bench`: what Logkeep takes in time, memory, requests and money, compared with named alternatives."""
