"""What every engine is asked: one row a question, the same question in each language.

`{t}` is the table, `{trace}` and `{service}` come from the data. `kyma` is KQL; `clickhouse` and `duckdb` are SQL over tables of
the same columns; `victorialogs` is LogsQL where the question can be put in it. `approximate` answers may differ by `tolerance`.
"""
from dataclasses import dataclass


@dataclass
class Question:
    name: str
    title: str
    kyma: str
    clickhouse: str
    duckdb: str
    victorialogs: str = ""
    approximate: bool = False
    tolerance: float = 0.03
    ahead: float = 1.0  # how many times faster than the best rival kyma wants to be


HOUR = ("2026-11-19 12:00:00", "2026-11-19 13:00:00")
REGEX = r"upstream \w+-\w+ returned 50[23] in \d{5}ms"

GENERATED = [
    Question("Q1", "count by service and level",
             "{t} | summarize n = count() by service, level",
             "SELECT service, level, count() FROM {t} GROUP BY service, level",
             "SELECT service, level, count(*) FROM {t} GROUP BY service, level",
             "* | stats by (service, level) count() n"),
    Question("Q2", "exact trace id",
             "{t} | where trace_id == '{trace}' | project timestamp, service, message",
             "SELECT timestamp, service, message FROM {t} WHERE trace_id = '{trace}'",
             "SELECT timestamp, service, message FROM {t} WHERE trace_id = '{trace}'",
             'trace_id:="{trace}" | fields _time, service, _msg'),
    Question("Q3", "rare term",
             "{t} | where message has 'xylographer' | project timestamp, service, message",
             "SELECT timestamp, service, message FROM {t} WHERE hasToken(message, 'xylographer')",
             "SELECT timestamp, service, message FROM {t} WHERE message LIKE '%xylographer%'",
             "xylographer | fields _time, service, _msg"),
    Question("Q4", "common term and status >= 500, per minute",
             "{t} | where message has 'failed' and status >= 500 | summarize n = count() by minute = bin(timestamp, 1m)",
             "SELECT toStartOfMinute(timestamp), count() FROM {t} WHERE hasToken(message, 'failed') AND status >= 500 GROUP BY 1",
             r"SELECT date_trunc('minute', timestamp), count(*) FROM {t} WHERE regexp_matches(message, '(^|[^A-Za-z0-9])failed($|[^A-Za-z0-9])') AND status >= 500 GROUP BY 1",
             "failed status:>=500 | stats by (_time:1m) count() n"),
    Question("Q5a", "substring",
             "{t} | where message contains_cs 'adlineExce' | count",
             "SELECT count() FROM {t} WHERE message LIKE '%adlineExce%'",
             "SELECT count(*) FROM {t} WHERE message LIKE '%adlineExce%'",
             '_msg:~"adlineExce" | stats count() n', ahead=3.0),
    Question("Q5b", "regular expression",
             "{t} | where message matches regex @'" + REGEX + "' | count",
             "SELECT count() FROM {t} WHERE match(message, '" + REGEX.replace("\\", "\\\\") + "')",
             "SELECT count(*) FROM {t} WHERE regexp_matches(message, '" + REGEX + "')",
             '_msg:~"' + REGEX.replace("\\", "\\\\") + '" | stats count() n', ahead=3.0),
    Question("Q6", "top 10 services by p95 latency in one hour",
             f"{{t}} | where timestamp between (datetime({HOUR[0]}) .. datetime({HOUR[1]})) | summarize p = percentile(latency_ms, 95) by service | top 10 by p",
             f"SELECT service, quantileTDigest(0.95)(latency_ms) AS p FROM {{t}} WHERE timestamp BETWEEN '{HOUR[0]}' AND '{HOUR[1]}' GROUP BY service ORDER BY p DESC LIMIT 10",
             f"SELECT service, approx_quantile(latency_ms, 0.95) AS p FROM {{t}} WHERE timestamp BETWEEN '{HOUR[0]}' AND '{HOUR[1]}' GROUP BY service ORDER BY p DESC LIMIT 10",
             "_time:[2026-11-19T12:00:00Z, 2026-11-19T13:00:00Z] | stats by (service) quantile(0.95, latency_ms) p | sort by (p desc) limit 10",
             approximate=True),
    Question("Q7", "last 100 errors of a service",
             "{t} | where service == '{service}' and level == 'ERROR' | top 100 by timestamp | project timestamp, message",
             "SELECT timestamp, message FROM {t} WHERE service = '{service}' AND level = 'ERROR' ORDER BY timestamp DESC LIMIT 100",
             "SELECT timestamp, message FROM {t} WHERE service = '{service}' AND level = 'ERROR' ORDER BY timestamp DESC LIMIT 100",
             'service:="{service}" level:=ERROR | sort by (_time desc) limit 100 | fields _time, _msg'),
    Question("Q8", "distinct trace ids per service",
             "{t} | summarize n = dcount(trace_id) by service",
             "SELECT service, uniq(trace_id) FROM {t} GROUP BY service",
             "SELECT service, approx_count_distinct(trace_id) FROM {t} GROUP BY service",
             "* | stats by (service) count_uniq(trace_id) n",
             approximate=True, tolerance=0.1),  # DuckDB's estimate is off by 6 % of ClickHouse's and kyma's.
    Question("Q10", "histogram by minute over everything",
             "{t} | summarize n = count() by minute = bin(timestamp, 1m)",
             "SELECT toStartOfMinute(timestamp), count() FROM {t} GROUP BY 1",
             "SELECT date_trunc('minute', timestamp), count(*) FROM {t} GROUP BY 1",
             "* | stats by (_time:1m) count() n", ahead=3.0),
]

NEZHA = [
    Question("Q1", "count by stream and system",
             "{t} | summarize n = count() by stream, system",
             "SELECT stream, system, count() FROM {t} GROUP BY stream, system",
             "SELECT stream, system, count(*) FROM {t} GROUP BY stream, system"),
    Question("Q2", "exact trace id",
             "{t} | where trace_id == '{trace}' | project timestamp, message",
             "SELECT timestamp, message FROM {t} WHERE trace_id = '{trace}'",
             "SELECT timestamp, message FROM {t} WHERE trace_id = '{trace}'"),
    Question("Q5a", "substring",
             "{t} | where message contains_cs 'onnection refuse' | count",
             "SELECT count() FROM {t} WHERE message LIKE '%onnection refuse%'",
             "SELECT count(*) FROM {t} WHERE message LIKE '%onnection refuse%'", ahead=3.0),
    Question("Q8", "distinct trace ids",
             "{t} | summarize n = dcount(trace_id)",
             "SELECT uniq(trace_id) FROM {t}",
             "SELECT approx_count_distinct(trace_id) FROM {t}", approximate=True, tolerance=0.1),
    Question("Q9", "nested path: filter and group by",
             "{t} | where k8s.container == 'server' | summarize n = count() by pod = tostring(k8s.pod)",
             "SELECT k8s.pod::String, count() FROM {t} WHERE k8s.container::String = 'server' GROUP BY 1",
             "SELECT k8s.pod, count(*) FROM {t} WHERE k8s.container = 'server' GROUP BY 1"),
    Question("Q10", "histogram by minute over everything",
             "{t} | summarize n = count() by minute = bin(timestamp, 1m)",
             "SELECT toStartOfMinute(timestamp), count() FROM {t} GROUP BY 1",
             "SELECT date_trunc('minute', timestamp), count(*) FROM {t} GROUP BY 1", ahead=3.0),
]
