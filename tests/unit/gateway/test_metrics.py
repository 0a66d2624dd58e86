"""What Prometheus reads."""

from gateway.access import Access
from gateway.limits import Limits, Settings
from gateway.metrics import Metrics, Traffic, links


def text(metrics):
    access, limits = Access(None, max_ttl=1, grace=0), Limits(Settings())
    return metrics.text(access, Traffic(), limits).splitlines()


def test_requests_are_counted_by_way_and_status():
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.count("express", status, 0.01)
    lines = text(metrics)
    assert 'aen_gateway_requests_total{way="express",status="200"} 2' in lines
    assert 'aen_gateway_requests_total{way="express",status="404"} 1' in lines


def test_durations_are_counted_in_buckets_that_hold_the_smaller_ones_too():
    metrics = Metrics()
    for seconds in (0.0005, 0.02, 100.0):
        metrics.count("consumers", 200, seconds)
    lines = text(metrics)
    assert 'aen_gateway_request_seconds_bucket{le="0.001"} 1' in lines
    assert 'aen_gateway_request_seconds_bucket{le="0.025"} 2' in lines
    assert 'aen_gateway_request_seconds_bucket{le="+Inf"} 3' in lines
    assert "aen_gateway_request_seconds_count 3" in lines


def test_a_websocket_is_a_request_without_a_duration():
    metrics = Metrics()
    metrics.count("express", 101, 3600.0)
    assert "aen_gateway_request_seconds_count 0" in text(metrics)


def test_answers_that_an_app_did_not_give_are_errors():
    metrics = Metrics()
    metrics.count("express", 502, 0.1)
    assert "aen_gateway_app_errors_total 1" in text(metrics)


def test_what_the_gateway_reaches_is_told_by_name():
    lines = links(server=True, nodes=[("north", True), ('odd"', False)]).splitlines()
    assert "aen_gateway_server_up 1" in lines
    assert 'aen_gateway_node_up{node="north"} 1' in lines
    assert 'aen_gateway_node_up{node="odd\\""} 0' in lines


def test_each_number_says_what_it_is():
    lines = text(Metrics())
    named = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    assert named == {line.split()[2] for line in lines if line.startswith("# HELP ")}
