#!/usr/bin/env python3
"""Writes docs/conformance.md from the lists of statements and from what the tests say they prove.

    tests/conformance/report.py            writes the page
    tests/conformance/report.py --check    fails if it is not what would be written
"""

import importlib
import pathlib
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "conformance.md"
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import registry  # noqa: E402
from packets import V5, V31, V311  # noqa: E402

TITLES = {V31: "MQTT 3.1, where it differs", V311: "MQTT 3.1.1", V5: "MQTT 5.0"}

INTRODUCTION = """# Conformance

What MQTT demands of a server, statement by statement, and the tests that show petrel does it. The statements are those of the
specifications' Appendix B, by their numbers, in words of our own; MQTT 3.1 has no numbers, so what it says otherwise than 3.1.1
has some of ours. A statement without a test has a reason instead. `tests/conformance/report.py` makes this page from
`tests/conformance`, and a test fails when it is not current; [conformance-mosquitto.md](conformance-mosquitto.md) compares.

Tests of 3.1.1 run at 3.1 as well, unless 3.1 says something else or nothing. What malformed packets are sent stands in
`tests/conformance/malformed_connect.py` and `malformed_packets.py`, one row each.
"""


def statements():
    """{version: {number: its row of the list}}."""
    files = {V5: "v5.toml", V311: "v311.toml", V31: "v31.toml"}
    return {version: tomllib.loads((HERE / "statements" / name).read_text()) for version, name in files.items()}


def load_tests():
    for path in sorted(HERE.glob("test_*.py")):
        importlib.import_module(path.stem)


def proofs():
    """{(version, number): the proofs of it}. A test at 3.1 under a number of 3.1.1 counts there."""
    load_tests()
    found = {}
    for proof in registry.PROOFS:
        for version, numbers in proof.numbers.items():
            for number in numbers:
                at = V311 if version == V31 and not number.startswith("MQIsdp") else version
                known = found.setdefault((at, number), [])
                if proof not in known:
                    known.append(proof)
    return found


def mistakes():
    """What is wrong with the lists: a statement without proof or reason, one with both, a proof of no known statement."""
    lists, proved = statements(), proofs()
    wrong = []
    for version, rows in lists.items():
        for number, row in rows.items():
            tested = (version, number) in proved
            if row["binds"] not in ("server", "client", "both"):
                wrong.append(f"{number} binds {row['binds']}")
            if not tested and "reason" not in row:
                wrong.append(f"{number} of {TITLES[version]} has neither a test nor a reason")
            if tested and "reason" in row:
                wrong.append(f"{number} of {TITLES[version]} has a test, and a reason for having none")
    for version, number in proved:
        if number not in lists[version]:
            wrong.append(f"{number} is not a statement of {TITLES[version]}: {proved[version, number][0].name}")
    return wrong


def by_module(found):
    modules = {}
    for proof in found:
        names = modules.setdefault(proof.module, [])
        test, _, row = proof.name.partition(": ")
        names.append(f"{test.removeprefix('test_')} ({row})" if row else test.removeprefix("test_"))
    return "; ".join(f"`{module}.py`: {', '.join(names)}" for module, names in modules.items())


def totals(rows, version, proved):
    binding = {number: row for number, row in rows.items() if row["binds"] != "client"}
    tested = sum((version, number) in proved for number in binding)
    others = sum((version, number) in proved for number in rows if number not in binding)
    return len(rows), len(binding), tested, len(binding) - tested, others


def render():
    lists, proved = statements(), proofs()
    lines = [INTRODUCTION, "| | statements | bind a server | with tests | with a reason | of the client's, tested as well |"]
    lines.append("|---|---|---|---|---|---|")
    for version in (V5, V311, V31):
        lines.append(f"| {TITLES[version]} | {' | '.join(str(one) for one in totals(lists[version], version, proved))} |")
    for version in (V5, V311, V31):
        lines += ["", f"## {TITLES[version]}", "", "| Number | Binds | Statement | Tests, or the reason for none |", "|---|---|---|---|"]
        for number, row in lists[version].items():
            found = proved.get((version, number))
            proof = by_module(found) if found else f"*{row['reason']}*"
            lines.append(f"| {number} | {row['binds']} | {row['says']} | {proof} |")
    return "\n".join(lines) + "\n"


def main():
    wrong = mistakes()
    if not wrong and "--check" not in sys.argv:
        PAGE.write_text(render())
    elif not wrong and (not PAGE.exists() or PAGE.read_text() != render()):
        wrong.append("docs/conformance.md is not current: run tests/conformance/report.py")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
