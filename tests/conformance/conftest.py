"""Options, brokers and the fixture `mqtt` of the conformance suite. README.md says how to run it."""

import concurrent.futures
import json
import pathlib

import pytest

import registry
from broker_process import Broker, SharedBrokers, free_port
from certificates import Authority
from packets import VERSION_NAMES
from peer import Scene


def pytest_addoption(parser):
    group = parser.getgroup("conformance")
    group.addoption("--broker", metavar="HOST:PORT", help="test the broker that listens there instead of starting petrel")
    group.addoption("--through", choices=["tcp", "tls", "ws", "wss"], default="tcp", help="by which listener petrel is reached")
    group.addoption("--deadline", metavar="SECONDS", type=float, default=10.0, help="how long to wait for what is due")
    group.addoption("--results", metavar="FILE", type=pathlib.Path, help="write the outcome of each test and its statements as JSON")


def pytest_configure(config):
    config.addinivalue_line("markers", "petrel_only: asks more than the specification does; left out with --broker")
    config.addinivalue_line("markers", "takes_time: waits for a clock; all of them run at the same time, in threads")
    Scene.transport = config.getoption("--through")
    config.stash[RESULTS] = {}
    config.stash[RUNNING] = {}


RESULTS = pytest.StashKey()
RUNNING = pytest.StashKey()


def pytest_generate_tests(metafunc):
    if "threads" in metafunc.fixturenames:
        modes = [0] if metafunc.config.getoption("--broker") else [1, 2]
        ids = [f"threads{count}" if count else "broker" for count in modes]
        metafunc.parametrize("threads", modes, scope="session", ids=ids)
    if "mqtt" in metafunc.fixturenames:
        cases = metafunc.function.cases
        rows = "row" in metafunc.fixturenames
        values = [(version, row) if rows else (version,) for version, row, _ in cases]
        metafunc.parametrize("version,row" if rows else "version", values if rows else [one for (one,) in values],
                             ids=[registry.case_id(*case) for case in cases])


def pytest_collection_modifyitems(config, items):
    if config.getoption("--broker"):
        left_out = [item for item in items if item.get_closest_marker("petrel_only")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("petrel_only")]
    # One broker after the other; what waits for a clock starts first and is asked for its result last.
    items.sort(key=lambda item: (threads_of(item), bool(item.get_closest_marker("takes_time"))))


def threads_of(item):
    return item.callspec.params.get("threads", 0) if hasattr(item, "callspec") else 3


@pytest.fixture(scope="session")
def shared_brokers():
    """One petrel per thread mode for all tests."""
    with SharedBrokers() as brokers:
        yield brokers


@pytest.fixture
def address(request, threads, tmp_path_factory, shared_brokers):
    """Where the broker under test listens. A test under which petrel dies fails; the next one gets a new petrel."""
    given = request.config.getoption("--broker")
    if given:
        host, _, port = given.rpartition(":")
        start_timed(request, threads, (host, int(port)))
        yield host, int(port)
        return
    with shared_brokers.lend(threads, lambda: start_petrel(tmp_path_factory.mktemp(f"threads{threads}"), threads)) as running:
        start_timed(request, threads, (running.host, running.door))
        yield running.host, running.door


def start_petrel(directory, threads):
    """A petrel whose port `door` is that of the listener under test."""
    if Scene.transport == "tcp":
        running = Broker(directory, threads).start()
        running.door = running.port
        return running
    listener = {"address": f"{Scene.transport}://127.0.0.1:{free_port()}"}
    if Scene.transport != "ws":
        authority = Authority(directory / "authority")
        listener["certificate"], listener["key"] = authority.sign("broker")
        Scene.authority_file = authority.file
    running = Broker(directory, threads, listeners=[listener])
    running.door = int(listener["address"].rpartition(":")[2])
    return running.start()


@pytest.fixture
def version():
    raise AssertionError("a test with the fixture mqtt needs @statement or @table")


@pytest.fixture
def mqtt(request, address, version):
    """Clients, topics and client ids for one test at one protocol version."""
    scene = make_scene(request.config, address, version)
    yield scene
    scene.close()


def make_scene(config, address, version, least_deadline_s=0.0):
    deadline_s = max(config.getoption("--deadline"), least_deadline_s)
    return Scene(address, version, not config.getoption("--broker"), deadline_s)


def start_timed(request, threads, address):
    """Starts everything that waits for a clock, each in a thread of its own, so that the waits overlap."""
    running = request.config.stash[RUNNING]
    if threads in running:
        return
    items = [item for item in request.session.items if item.get_closest_marker("takes_time") and threads_of(item) == threads]
    running[threads] = {}
    if not items:
        return
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=len(items))
    for item in items:
        scene = make_scene(request.config, address, item.callspec.params["version"], 20.0)
        running[threads][item.nodeid] = pool.submit(run_timed, item.function, scene)
    pool.shutdown(wait=False)


def run_timed(function, scene):
    try:
        function(scene)
    finally:
        scene.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that takes time has been running since its broker started; here its result is taken."""
    if not pyfuncitem.get_closest_marker("takes_time"):
        return None
    pyfuncitem.config.stash[RUNNING][pyfuncitem.callspec.params["threads"]][pyfuncitem.nodeid].result(timeout=60)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not hasattr(getattr(item, "function", None), "cases"):
        return
    if report.when == "call" or report.failed:
        version, row = item.callspec.params["version"], item.callspec.params.get("row")
        numbers = next(ids for at, one, ids in item.function.cases if at == version and one is row)
        item.config.stash[RESULTS][item.nodeid] = {
            "test": f"{item.module.__name__}.py: {item.originalname}" + (f": {row.name}" if row else ""),
            "version": VERSION_NAMES[version],
            "statements": numbers,
            "passed": report.passed,
            "message": "" if report.passed else str(call.excinfo.value).splitlines()[0],
        }


def pytest_sessionfinish(session):
    path = session.config.getoption("--results")
    if path:
        path.write_text(json.dumps(list(session.config.stash[RESULTS].values()), indent=1))
