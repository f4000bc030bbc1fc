"""The pytest plugin, in a project of its own: pytest is run on tests that a user would write."""

import pytest

pytest_plugins = ["pytester"]

SERVICE = """
    import asyncio
    import pytest
    from humus.queue import kafka

    def service(broker, seen):
        async def book(msg):
            seen.append(msg.value)
        return kafka.Runtime(broker.brokers, "g", kafka.at_least_once("orders", book))
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of a user, without pytest-asyncio; warnings and unknown markers are errors there."""
    pytester.makeini("[pytest]\naddopts = -p no:asyncio --strict-markers --strict-config\nfilterwarnings = error\n")
    pytester.makepyfile(service=SERVICE)
    return pytester


def test_the_fixtures_run_a_service(project: pytest.Pytester) -> None:
    """`kafka_broker` and `run_app` are there without an import, in a coroutine run by pytest-asyncio."""
    project.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    project.makepyfile(
        """
        import pytest
        from service import service

        @pytest.mark.asyncio
        async def test_async(kafka_broker, run_app):
            kafka_broker.produce("orders", "1", "2")
            seen = []
            await run_app(service(kafka_broker, seen), until=lambda: len(seen) == 2)
            assert sorted(seen) == [b"1", b"2"]
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_needs_no_asyncio_plugin(project: pytest.Pytester) -> None:
    """Where pytest-asyncio is absent, plain tests work as they did, and nothing is said of it."""
    project.makepyfile(
        """
        import asyncio
        from service import service

        def test_sync(kafka_broker, run_app):
            kafka_broker.produce("orders", "3")
            seen = []
            asyncio.run(run_app(service(kafka_broker, seen), until=lambda: len(seen) == 1))
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_failed_wait_is_told_with_the_state(project: pytest.Pytester) -> None:
    """What pytest prints is the state of the partitions."""
    project.makepyfile(
        """
        import asyncio
        from service import service

        def test_sync(kafka_broker, run_app):
            kafka_broker.create_topic("orders")
            asyncio.run(run_app(service(kafka_broker, []), until=lambda: False, within=2))
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *did not hold within 2 s; its state:", "E *orders?0?: running, in flight 0*"])


def test_fixtures_of_the_project_take_their_place(project: pytest.Pytester) -> None:
    """A project that has a `kafka_broker` of its own notices nothing."""
    project.makeconftest("import pytest\n@pytest.fixture\ndef kafka_broker():\n    return 'mine'\n")
    project.makepyfile("def test_it(kafka_broker):\n    assert kafka_broker == 'mine'\n")
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_it_can_be_left_out(project: pytest.Pytester) -> None:
    """`-p no:humus` is a project without the fixtures."""
    project.makepyfile("def test_it(run_app):\n    pass\n")
    result = project.runpytest_subprocess("-p", "no:humus")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'run_app' not found*"])


def test_who_does_not_use_it_does_not_pay_for_it(project: pytest.Pytester) -> None:
    """A project whose tests use no fixture of ours loads neither the runtime, nor the Kafka client, nor pydantic."""
    project.makepyfile(
        """
        import sys

        def test_it():
            assert "humus.testing.pytest_plugin" in sys.modules
            absent = {"humus.queue", "humus.testing._broker", "confluent_kafka", "pydantic", "msgspec", "yaml"}
            assert not absent & set(sys.modules)
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_they_are_told_by_fixtures(project: pytest.Pytester) -> None:
    """`pytest --fixtures` explains both."""
    result = project.runpytest_subprocess("--fixtures")
    result.stdout.fnmatch_lines(["kafka_broker -- *", "*embedded Kafka broker*"])
    result.stdout.fnmatch_lines(["run_app -- *", "*service in the test's loop*"])
