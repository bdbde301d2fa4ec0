"""The lists of statements are complete, and docs/conformance.md is what they and the tests say."""

import re

import report
from packets import V5, V311


def test_each_statement_has_a_test_or_a_reason():
    assert report.mistakes() == []


def test_lists_have_every_number_of_the_specifications():
    """Appendix B numbers each section's statements from 1 on; these were never given."""
    never_given = {V5: {"MQTT-2.2.1-1", "MQTT-4.2-0"}, V311: set()}
    for version, gaps in never_given.items():
        counts = {}
        for number in report.statements()[version]:
            section, count = re.fullmatch(r"MQTT-([\d.]+)-(\d+)", number).groups()
            counts.setdefault(section, []).append(int(count))
        for section, found in counts.items():
            missing = {f"MQTT-{section}-{count}" for count in range(1, max(found) + 1)} - {f"MQTT-{section}-{count}" for count in found}
            assert missing <= gaps, missing
            assert found == sorted(found)


def test_page_is_current():
    assert report.PAGE.read_text() == report.render(), "run tests/conformance/report.py"
