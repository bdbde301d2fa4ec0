"""The page of metrics, read by Prometheus' own parser."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def read(url):
    """The families of a /metrics page, by name."""
    with urllib.request.urlopen(url, timeout=15) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def value(families, name, **labels):
    """The one sample of that name with these labels."""
    found = [sample.value for family in families.values() for sample in family.samples if sample.name == name and sample.labels == labels]
    assert len(found) == 1, f"{name}{labels}: {found}"
    return found[0]
