from prometheus_client.parser import text_string_to_metric_families

from dfer.serve.metrics import CONTENT_TYPE, Metrics


def test_prometheus_reads_them_and_servers_do_not_share_them() -> None:
    one, other = Metrics(), Metrics()
    one.requests.labels("/v1/predict", "POST", "200").inc()
    one.recognition.observe(0.2)
    found = {family.name: family for family in text_string_to_metric_families(one.text().decode())}
    assert {"dfer_requests", "dfer_recognition_seconds", "dfer_workers_ready", "process_resident_memory_bytes"} <= set(
        found
    )
    assert [s.value for s in found["dfer_recognition_seconds"].samples if s.name.endswith("_count")] == [1.0]
    assert 'path="/v1/predict"' not in other.text().decode()
    assert "0.0.4" in CONTENT_TYPE
