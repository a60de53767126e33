"""`python -m bench`: what Logkeep costs in time, memory, requests and money, each beside a named alternative."""
