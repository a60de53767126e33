"""`make openapi`: docs/openapi.json and docs/api.html, made from the functions and their models. Never deployed."""
