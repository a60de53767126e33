from hypothesis import HealthCheck, settings

# No deadline: the first example of a test pays for what is made once. No database: a failure prints its example.
settings.register_profile(
    "unit", deadline=None, database=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")
