"""How hypothesis runs here: the same examples in every run, and no judgement by the clock of a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "humus", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("humus")
