"""Fixtures of the interoperability tests. README.md says how to run them."""

import itertools
import os
import pathlib
import re

import pytest

from broker_process import Broker, SharedBrokers
from certificates import Authority
from node_peer import Node, NodeDriver


def pytest_addoption(parser):
    parser.addoption(
        "--reference",
        action="store_true",
        help="run against Debian's mosquitto, without the tests of what is petrel's own: checks the tests themselves",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "petrel_only: tests what only petrel has, or where mosquitto 2.0 departs from the specification")
    if config.getoption("--reference"):
        os.environ["PETREL_BINARY"] = str(pathlib.Path(__file__).with_name("reference-broker"))


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--reference"):
        return
    left_out = [item for item in items if item.get_closest_marker("petrel_only")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("petrel_only")]


def pytest_generate_tests(metafunc):
    if "threads" in metafunc.fixturenames:
        modes = [1] if metafunc.config.getoption("--reference") else [1, 2]
        metafunc.parametrize("threads", modes, scope="session", ids=lambda count: f"threads{count}")


@pytest.fixture(scope="session")
def shared_brokers():
    """One broker per thread mode for all tests that need no configuration of their own."""
    with SharedBrokers() as brokers:
        yield brokers


@pytest.fixture
def broker(shared_brokers, threads, tmp_path_factory):
    """A broker in its default configuration."""
    with shared_brokers.lend(threads, lambda: Broker(tmp_path_factory.mktemp(f"threads{threads}"), threads).start()) as running:
        yield running


@pytest.fixture
def start_broker(threads, tmp_path):
    """Starts brokers of the test's own: start_broker(config, args). Each is stopped and checked at the end."""
    started = []

    def start(config=None, args=(), **more):
        directory = tmp_path / f"broker{len(started)}"
        running = Broker(directory, more.pop("threads", threads), config, args, **more)
        started.append(running)
        return running.start()

    yield start
    failures = []
    for running in started:
        try:
            running.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def shared_nodes():
    nodes = []
    yield nodes
    for node in nodes:
        node.close()


@pytest.fixture
def drive_node(shared_nodes):
    """MQTT.js: drive_node(broker or door) makes a driver of clients that end with the test."""
    if shared_nodes and not shared_nodes[-1].alive():
        shared_nodes.pop().close()
    if not shared_nodes:
        shared_nodes.append(Node())
    drivers = []

    def drive(broker):
        drivers.append(NodeDriver(shared_nodes[-1], broker))
        return drivers[-1]

    yield drive
    for driver in drivers:
        driver.close()


class Names:
    """Topics by calling it; client ids, at most 23 characters for MQTT 3.1, by client()."""

    counter = itertools.count(1)

    def __init__(self, test):
        self.number = next(self.counter)
        self.test = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_"))

    def __call__(self, text):
        return f"{self.number}-{self.test}/{text}"

    def client(self, text):
        return f"{self.number}-{text}"


@pytest.fixture
def name(request):
    """Makes names for topics and client ids that no other test uses."""
    return Names(request.node.originalname)
