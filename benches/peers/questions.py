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

DAY = "from datetime(2026-11-19) to datetime(2026-11-20) step 1m"

# Operators whose cost is in computing, not in finding: every row takes part.
OPERATORS = [
    Question("K1", "join: every row with the rows of its trace",
             "{t} | join kind=inner ({t} | project trace_id, other = status) on trace_id | summarize n = count(), s = sum(other)",
             "",
             "SELECT count(*), sum(b.status) FROM {t} a JOIN {t} b USING (trace_id)"),
    Question("K2", "join: Kusto's default, one left row a key",
             "{t} | project trace_id | join ({t} | project trace_id, other = status) on trace_id | summarize n = count(), s = sum(other)",
             "",
             "SELECT count(*), sum(b.status) FROM (SELECT DISTINCT trace_id FROM {t}) a JOIN {t} b USING (trace_id)"),
    Question("K3", "summarize: 48,000 groups",
             "{t} | summarize n = count(), mean = avg(latency_ms), most = max(status) by service, host, level, hour = bin(timestamp, 1h)"
             " | summarize groups = count(), n = sum(n), most = max(most), mean = round(sum(mean), 3)",
             "",
             "SELECT count(*), sum(n), max(most), round(sum(mean), 3) FROM (SELECT count(*) n, avg(latency_ms) mean, max(status) most FROM {t} "
             "GROUP BY service, host, level, date_trunc('hour', timestamp))",
             approximate=True, tolerance=1e-6),
    Question("K4", "make-series: a day by minutes for every host",
             "{t} | make-series v = avg(latency_ms) default = 0.0 on timestamp " + DAY + " by host"
             " | project host, bins = array_length(v), total = round(array_sum(v), 3)",
             "",
             "WITH g AS (SELECT host, datediff('minute', TIMESTAMP '2026-11-19', timestamp) b, avg(latency_ms) v FROM {t} "
             "WHERE timestamp >= '2026-11-19' AND timestamp < '2026-11-20' GROUP BY ALL), "
             "a AS (SELECT host, range b FROM (SELECT DISTINCT host FROM {t}), range(1440)), "
             "s AS (SELECT a.host, list(coalesce(g.v, 0.0) ORDER BY a.b) v FROM a LEFT JOIN g ON a.host = g.host AND a.b = g.b GROUP BY a.host) "
             "SELECT host, len(v), round(list_sum(v), 3) FROM s",
             approximate=True, tolerance=1e-6),
    Question("K5", "mv-expand: every word of every line",
             "{t} | project words = split(message, ' ') | mv-expand word = words to typeof(string)"
             " | summarize n = count() by word | top 20 by n desc, word asc",
             "",
             "SELECT word, count(*) n FROM (SELECT unnest(string_split(message, ' ')) word FROM {t}) GROUP BY word ORDER BY n DESC, word LIMIT 20"),
    Question("K6", "parse: four columns of every line that fits",
             "{t} | parse-where message with 'request finished method=' method ' path=' path ' client=' client ' duration=' took:real 'ms' *"
             " | summarize n = count(), took = round(sum(took), 2), longest = max(strlen(path)) by method",
             "",
             "SELECT p.method, count(*), round(sum(CAST(p.took AS DOUBLE)), 2), max(length(p.path)) FROM (SELECT regexp_extract(message, "
             "'^request finished method=(.*?) path=(.*?) client=(.*?) duration=(.*?)ms', ['method', 'path', 'client', 'took']) p FROM {t} "
             "WHERE message LIKE 'request finished method=%') GROUP BY 1",
             approximate=True, tolerance=1e-6),
    Question("K7", "scan: the longest run of errors of every host",
             "{t} | project host, timestamp, trace_id, level | sort by host asc, timestamp asc, trace_id asc"
             " | scan declare (run: long = 0) with (step s: true => run = iff(level == 'ERROR', iff(host == s.host, s.run, 0) + 1, 0);)"
             " | summarize longest = max(run), total = sum(run)",
             "",
             "WITH o AS (SELECT host, level, row_number() OVER (PARTITION BY host ORDER BY timestamp, trace_id) r FROM {t}) "
             "SELECT max(run), sum(run) FROM (SELECT CASE WHEN level = 'ERROR' THEN r - coalesce(max(CASE WHEN level <> 'ERROR' THEN r END) "
             "OVER (PARTITION BY host ORDER BY r ROWS UNBOUNDED PRECEDING), 0) ELSE 0 END run FROM o)"),
]
