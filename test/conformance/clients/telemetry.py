"""Reads what a router tells as its receivers do: OTLP by OpenTelemetry's protocol buffers, /metrics by Prometheus' own parser. Prints what they understood."""
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

told = json.load(sys.stdin)
# a member that the protocol does not have is an error.
metrics = json_format.Parse(told["metrics"], ExportMetricsServiceRequest())
traces = json_format.Parse(told["traces"], ExportTraceServiceRequest())
points = [
    (metric.name, point)
    for of in metrics.resource_metrics for scope in of.scope_metrics for metric in scope.metrics for point in metric.histogram.data_points
]
families = list(text_string_to_metric_families(told["prometheus"]))
json.dump({
    "points": [
        {
            "name": name,
            "count": point.count,
            "isWhole": len(point.bucket_counts) == len(point.explicit_bounds) + 1 and sum(point.bucket_counts) == point.count,
            "isInTime": 0 < point.start_time_unix_nano < point.time_unix_nano,
        }
        for name, point in points
    ],
    "spans": [span.name for of in traces.resource_spans for scope in of.scope_spans for span in scope.spans],
    "families": [{"name": family.name, "type": family.type, "help": family.documentation, "samples": len(family.samples)} for family in families],
}, sys.stdout)
