"""The Python clients azure-kusto-data and azure-kusto-ingest against kyma: python clients.py URL"""
import datetime
import decimal
import io
import json
import math
import pathlib
import sys
import tempfile
import time
import traceback
import urllib.request
import uuid

import pandas
from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder
from azure.kusto.data.data_format import DataFormat
from azure.kusto.data.exceptions import KustoApiError, KustoMultiApiError, KustoServiceError
from azure.kusto.data.helpers import dataframe_from_result_table
from azure.kusto.ingest import (
    BlobDescriptor, ColumnMapping, FileDescriptor, IngestionMappingKind, IngestionProperties, KustoStreamingIngestClient,
    ManagedStreamingIngestClient, QueuedIngestClient, StreamDescriptor, TransformationMethod,
)
from azure.kusto.ingest.exceptions import KustoQueueError
from azure.kusto.ingest.status import KustoIngestStatusQueues
from azure.storage.blob import BlobServiceClient

URL = sys.argv[1]
DATABASE = "clients_py"
GUID = "123e27de-1e4e-49d9-b579-fe0b331d3642"
EVERY_TYPE = f"""
let filled = datatable(b:bool, i:int, l:long, r:real, n:decimal, t:datetime, s:timespan, g:guid, x:string, d:dynamic) [
    true, int(-5), 9223372036854775807, 1.5, decimal(2.00000000000001), datetime(2015-01-01 01:01:01.0000001),
    time(-1.02:03:04.5000001), guid({GUID}), 'ünï"x', dynamic({{"a":[1,"b",null]}})];
let empty = datatable(b:bool, i:int, l:long, r:real, n:decimal, t:datetime, s:timespan, g:guid, x:string, d:dynamic) [
    bool(null), int(null), long(null), real(null), decimal(null), datetime(null), timespan(null), guid(null), '', dynamic(null)];
union (filled | extend o = 0), (empty | extend o = 1) | order by o asc | project-away o
"""


def connection():
    return KustoConnectionStringBuilder(URL)


client = KustoClient(connection())


def rows(text, properties=None):
    return [row.to_list() for row in client.execute(DATABASE, text, properties).primary_results[0]]


def options(**given):
    properties = ClientRequestProperties()
    for name, value in given.items():
        properties.set_option(name, value)
    return properties


def equal(got, wanted):
    assert got == wanted, f"got {got!r}, want {wanted!r}"


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def table(name, columns):
    client.execute(DATABASE, f".create table {name} ({columns})")
    return IngestionProperties(DATABASE, name, data_format=DataFormat.CSV)


# -- queries


def check_every_type_as_rows():
    table = client.execute(DATABASE, EVERY_TYPE).primary_results[0]
    types = ["bool", "int", "long", "real", "decimal", "datetime", "timespan", "guid", "string", "dynamic"]
    equal([column.column_type for column in table.columns], types)
    filled, empty = [row.to_list() for row in table]
    zone = datetime.timezone.utc
    equal(filled[:5], [True, -5, 9223372036854775807, 1.5, decimal.Decimal("2.00000000000001")])
    # Python's own types end at microseconds; the text has the 100 ns ticks.
    equal(filled[5], datetime.datetime(2015, 1, 1, 1, 1, 1, 0, zone))
    equal(filled[6], -datetime.timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=500000))
    equal(filled[7:], [GUID, 'ünï"x', {"a": [1, "b", None]}])
    equal(table.raw_rows[0][5:7], ["2015-01-01T01:01:01.0000001Z", "-1.02:03:04.5000001"])
    equal(empty, [None, None, None, None, None, None, None, None, "", None])


def check_reals_that_are_no_numbers():
    equal(client.execute(DATABASE, "print real(nan), real(+inf), real(-inf)").primary_results[0].raw_rows, [["NaN", "Infinity", "-Infinity"]])
    frame = dataframe_from_result_table(client.execute(DATABASE, "print a = real(+inf), b = real(-inf), c = 0.5").primary_results[0])
    equal([float(frame[name][0]) for name in "abc"], [math.inf, -math.inf, 0.5])


def check_every_type_in_pandas():
    # The frame takes a long beside a null through a float, which does not hold the largest: that one goes alone.
    largest = dataframe_from_result_table(client.execute(DATABASE, "print l = 9223372036854775807").primary_results[0])
    equal((str(largest["l"].dtype), int(largest["l"][0])), ("Int64", 9223372036854775807))
    # Nor does its helper read the sign of a timespan of a day or more.
    text = EVERY_TYPE.replace("9223372036854775807", "123").replace("time(-", "time(")
    frame = dataframe_from_result_table(client.execute(DATABASE, text).primary_results[0], nullable_bools=True)
    equal((str(frame["l"].dtype), frame["l"][0]), ("Int64", 123))
    equal(frame["t"][0], pandas.Timestamp("2015-01-01T01:01:01.000000100Z"))
    equal(frame["s"][0], pandas.Timedelta("1 days 02:03:04.500000100"))
    equal((frame["g"][0], frame["x"][1], frame["d"][0]), (GUID, "", {"a": [1, "b", None]}))
    equal([bool(pandas.isna(frame[name][1])) for name in "bilrnts"], [True] * 7)


def check_v1_of_every_type():
    body = json.dumps({"db": DATABASE, "csl": EVERY_TYPE + "| render table"}).encode()
    request = urllib.request.Request(URL + "/v1/rest/query", body, {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(request))
    from azure.kusto.data.response import KustoResponseDataSetV1

    parsed = KustoResponseDataSetV1(answer)
    equal([table.table_kind.value for table in parsed.tables], ["PrimaryResult", "QueryProperties", "QueryCompletionInformation", "TableOfContents"])
    equal(parsed.primary_results[0].raw_rows, client.execute(DATABASE, EVERY_TYPE).primary_results[0].raw_rows)
    equal(json.loads(parsed.tables[1].raw_rows[0][0])["Visualization"], "table")
    equal(parsed.errors_count, 0)


def check_parameters_of_every_type():
    declared = "declare query_parameters(b:bool, i:int, l:long, r:real, n:decimal, t:datetime, s:timespan, g:guid, x:string, d:dynamic, o:string = 'dflt');"
    properties = ClientRequestProperties()
    given = {
        "b": "true", "i": "int(-5)", "l": 7, "r": "1.5", "n": "decimal(0.1)", "t": "datetime(2020-02-03 04:05:06.0000007)", "s": "time(1.02:03:04)",
        "g": f"guid({GUID})", "x": 'it\'s "x" | drop', "d": 'dynamic({"a":[1]})',
    }
    for name, value in given.items():
        properties.set_parameter(name, value)
    got = client.execute(DATABASE, declared + "print b, i, l, r, n, t, s, g, x, d.a[0], o", properties).primary_results[0].raw_rows[0]
    equal(got, [True, -5, 7, 1.5, "0.1", "2020-02-03T04:05:06.0000007Z", "1.02:03:04", GUID, 'it\'s "x" | drop', 1, "dflt"])
    missing = raises(KustoServiceError, lambda: rows("declare query_parameters(z:long); print z"))
    assert missing.is_semantic_error(), missing


def check_options():
    equal(rows("print now()", options(query_now="2020-01-01"))[0][0].isoformat(), "2020-01-01T00:00:00+00:00")
    equal(rows("range x from 1 to 9 step 1", options(query_take_max_records=2)), [[1], [2]])
    equal(rows("print 1", options(servertimeout=datetime.timedelta(days=1), nobody_knows_this=[1], norequesttimeout=True)), [[1]])
    equal(rows("select 1 + 1 as two", options(query_language="sql")), [[2]])
    refused = raises(KustoServiceError, lambda: client.execute(DATABASE, ".create table Never (a:long)", options(request_readonly=True)))
    assert "read-only" in str(refused), refused
    client.execute(DATABASE, ".show tables", options(request_readonly=True))


def check_ids_are_echoed():
    properties = ClientRequestProperties()
    properties.client_request_id = "mine;1"
    information = client.execute(DATABASE, "print 1", properties)["QueryCompletionInformation"]
    equal({row["ClientRequestId"] for row in information}, {"mine;1"})


def check_several_tables_and_their_drawing():
    answer = client.execute(DATABASE, "print a = 1 | as First; print b = 'x' | render timechart with (title='t')")
    equal([table.raw_rows for table in answer.primary_results], [[[1]], [["x"]]])
    drawn = [json.loads(row["Value"]) for row in answer["@ExtendedProperties"]]
    equal([(it["Visualization"], it["Title"]) for it in drawn], [(None, None), ("timechart", "t")])


def check_errors_are_told_apart():
    semantic = raises(KustoApiError, lambda: rows("print nosuch"))
    assert semantic.is_semantic_error(), semantic
    equal((semantic.get_api_error().code, semantic.get_api_error().permanent), ("General_BadRequest", True))
    assert "[line:position=1:7]" in str(semantic), semantic
    syntax = raises(KustoApiError, lambda: rows("print 1 +"))
    assert "Syntax error: SYN" in str(syntax) and not syntax.is_semantic_error(), syntax
    unknown = raises(KustoApiError, lambda: rows("NoSuchTable | count"))
    assert unknown.is_semantic_error() and "NoSuchTable" in str(unknown), unknown
    large = raises(KustoApiError, lambda: rows("range x from 1 to 9 step 1", options(truncationmaxrecords=2)))
    equal((large.get_api_error().code, large.get_api_error().permanent), ("LimitsExceeded", False))
    endless = "range x from 1 to 50000000 step 1 | summarize dcount(x % 1000003)"
    slow = raises(KustoApiError, lambda: rows(endless, options(servertimeout=datetime.timedelta(milliseconds=50))))
    equal(slow.get_api_error().code, "Timeout")
    command = raises(KustoServiceError, lambda: client.execute(DATABASE, ".show table NoSuchTable cslschema"))
    assert "NoSuchTable" in str(command), command


def check_partial_failures():
    text = "range x from 1 to 9 step 1"
    partial = raises(KustoMultiApiError, lambda: rows(text, options(truncationmaxrecords=5, results_error_reporting_placement="in_data")))
    equal([error.code for error in partial.get_api_errors()], ["LimitsExceeded"])
    deferred = client.execute(DATABASE, text, options(truncationmaxrecords=5, deferpartialqueryfailures=True))
    equal((deferred.errors_count, [row[0] for row in deferred.primary_results[0]]), (1, [1, 2, 3, 4, 5]))
    assert "too large" in deferred.get_exceptions()[0], deferred.get_exceptions()


def check_big_results():
    text = "range x from 1 to 300000 step 1 | extend s = strcat('row ', x)"
    equal(client.execute(DATABASE, text).primary_results[0].rows_count, 300000)
    seen = 0
    for part in client.execute_streaming_query(DATABASE, text).iter_primary_results():
        for row in part:
            seen += row["x"]
    equal(seen, 300000 * 300001 // 2)


def check_progressive_frames():
    body = {"db": DATABASE, "csl": "range x from 1 to 100000 step 1; print y = 2"}
    body["properties"] = json.dumps({"Options": {"results_progressive_enabled": True, "notruncation": True}})
    request = urllib.request.Request(URL + "/v2/rest/query", json.dumps(body).encode(), {"Content-Type": "application/json"})
    frames = json.load(urllib.request.urlopen(request))
    equal((frames[0]["FrameType"], frames[0]["IsProgressive"]), ("DataSetHeader", True))
    fragments = [frame for frame in frames if frame["FrameType"] == "TableFragment"]
    assert len(fragments) > 10 and any(frame["FrameType"] == "TableProgress" for frame in frames)
    equal(sum(row[0] for frame in fragments for row in frame["Rows"] if frame["TableId"] == 1), 100000 * 100001 // 2)
    completed = {frame["TableId"]: frame["RowCount"] for frame in frames if frame["FrameType"] == "TableCompletion"}
    equal(completed, {1: 100000, 2: 1})
    equal((frames[-1]["FrameType"], frames[-1]["HasErrors"]), ("DataSetCompletion", False))


def check_commands():
    client.execute(DATABASE, ".create-merge table Commands (a:long, b:string)")
    assert "Commands" in [row["TableName"] for row in client.execute(DATABASE, ".show tables").primary_results[0]]
    assert DATABASE in [row["DatabaseName"] for row in client.execute(DATABASE, ".show databases").primary_results[0]]
    equal(client.execute(DATABASE, ".show version").primary_results[0][0]["ServiceType"], "Engine")
    client.execute(DATABASE, ".ingest inline into table Commands <| 1,x\n2,y")
    equal(rows("Commands | summarize sum(a), dcount(b)"), [[3, 2]])
    client.execute(DATABASE, ".drop table Commands ifexists")


# -- ingestion


def check_streaming_every_format():
    properties = table("Streamed", "a:long, b:string")
    bodies = {
        DataFormat.CSV: '1,"x, y"\n2,\n', DataFormat.TSV: "1\tx, y\n2\t\n", DataFormat.PSV: "1|x, y\n2\n", DataFormat.SCSV: "1;x, y\n2;\n",
        DataFormat.SOHSV: "1\x01x, y\n2\n", DataFormat.TSVE: "1\tx\\, y\n2\t\n", DataFormat.JSON: '{"a":1,"b":"x, y"}\n{"a":2}\n',
        DataFormat.MULTIJSON: '[{"a":1,\n"b":"x, y"}, {"a":2}]',
    }
    with KustoStreamingIngestClient(connection()) as ingest:
        for data_format, body in bodies.items():
            properties.format = data_format
            result = ingest.ingest_from_stream(io.BytesIO(body.encode()), properties)
            equal(result.status.name, "SUCCESS")
        not_there = IngestionProperties(DATABASE, "Streamed", data_format=DataFormat.JSON, ingestion_mapping_reference="nosuch")
        refused = raises(KustoApiError, lambda: ingest.ingest_from_stream(io.BytesIO(b"{}"), not_there))
        assert refused.get_api_error().permanent and "nosuch" in str(refused), refused
    equal(rows("Streamed | summarize count(), sum(a), countif(b == 'x, y')"), [[2 * len(bodies), 3 * len(bodies), len(bodies)]])


def check_streaming_text_and_raw():
    with KustoStreamingIngestClient(connection()) as ingest:
        for data_format in (DataFormat.TXT, DataFormat.RAW):
            table(f"Text{data_format.name}", "line:string")
            ingest.ingest_from_stream(io.BytesIO(b"one, \"two\nthree"), IngestionProperties(DATABASE, f"Text{data_format.name}", data_format=data_format))
    equal(sorted(rows("TextTXT | project line")), [['one, "two'], ["three"]])
    equal(rows("TextRAW | project line"), [['one, "two\nthree']])


def frame():
    return pandas.DataFrame({
        "n": [1, 2, 3], "r": [0.5, None, -1.25], "s": ["x", "", 'q"uo,te'],
        "at": pandas.to_datetime(["2024-01-02T03:04:05.678Z", "2024-01-02T03:04:06Z", None], format="ISO8601"), "b": [True, False, True],
    })


def check_streaming_a_dataframe():
    table("Framed", "n:long, r:real, s:string, at:datetime, b:bool")
    with KustoStreamingIngestClient(connection()) as ingest:
        ingest.ingest_from_dataframe(frame(), IngestionProperties(DATABASE, "Framed"))
    got = dataframe_from_result_table(client.execute(DATABASE, "Framed | order by n asc").primary_results[0])
    equal(list(got["n"]), [1, 2, 3])
    equal((float(got["r"][0]), pandas.isna(got["r"][1]), float(got["r"][2])), (0.5, True, -1.25))
    equal((list(got["s"]), list(got["b"])), (["x", "", 'q"uo,te'], [True, False, True]))
    equal(got["at"][0], pandas.Timestamp("2024-01-02T03:04:05.678Z"))


def check_managed_streaming_small_and_large():
    properties = table("Managed", "a:long, b:string")
    small, large = b"1,x\n", b"".join(b"%d,%s\n" % (n, uuid.uuid4().hex.encode() * 4) for n in range(40000))
    with ManagedStreamingIngestClient(connection()) as ingest:
        equal(ingest.ingest_from_stream(io.BytesIO(small), properties).status.name, "SUCCESS")
        # Random text does not compress below the 4 MiB that are streamed: this one is queued.
        descriptor = StreamDescriptor(io.BytesIO(large + large.replace(b",", b",y")), is_compressed=False)
        sent = ingest.ingest_from_stream(StreamDescriptor(io.BytesIO(descriptor.stream.getvalue()), is_compressed=True), properties)
        equal(sent.status.name, "QUEUED")
    equal(rows("Managed | count"), [[1 + 2 * 40000]])


def check_queued_from_file_stream_and_dataframe():
    properties = table("Queued", "n:long, s:string")
    with QueuedIngestClient(connection()) as ingest, tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows with space.csv"
        path.write_text("n,s\n1,x\n2,y\n")
        with_header = IngestionProperties(DATABASE, "Queued", data_format=DataFormat.CSV, ignore_first_record=True)
        equal(ingest.ingest_from_file(FileDescriptor(str(path)), with_header).status.name, "QUEUED")
        ingest.ingest_from_stream(io.BytesIO(b"3,z\n"), properties)
        ingest.ingest_from_dataframe(pandas.DataFrame({"n": [4, 5], "s": ["p", "q"]}), IngestionProperties(DATABASE, "Queued"))
        # The answer comes after the commit: there is nothing to wait for.
        equal(rows("Queued | summarize count(), sum(n)"), [[5, 15]])
        reports = KustoIngestStatusQueues(ingest)
        assert reports.failure.is_empty() and reports.success.is_empty()


def check_queued_with_mappings():
    table("Mapped", "n:long, at:datetime, all:dynamic, c:string")
    by_path = [
        ColumnMapping("n", "long", path="$.a.b[1]"),
        ColumnMapping("at", "datetime", path="$.ms", transform=TransformationMethod.DATE_TIME_FROM_UNIX_MILLISECONDS),
        ColumnMapping("all", "dynamic", path="$"),
        ColumnMapping("c", "string", const_value="k"),
        ColumnMapping("added", "real", path="$['x y']"),
    ]
    by_place = [ColumnMapping("c", "string", ordinal=0), ColumnMapping("n", "long", ordinal=2)]
    with QueuedIngestClient(connection()) as ingest:
        body = b'{"a":{"b":[0,"7"]},"ms":1700000000123,"x y":1.5}'
        properties = dict(data_format=DataFormat.JSON, column_mappings=by_path, ingestion_mapping_kind=IngestionMappingKind.JSON)
        ingest.ingest_from_stream(io.BytesIO(body), IngestionProperties(DATABASE, "Mapped", **properties))
        properties = dict(data_format=DataFormat.CSV, column_mappings=by_place, ingestion_mapping_kind=IngestionMappingKind.CSV)
        ingest.ingest_from_stream(io.BytesIO(b"w,ignored,8\n"), IngestionProperties(DATABASE, "Mapped", **properties))
    got = client.execute(DATABASE, "Mapped | order by n asc | project n, at, x = all.a.b[0], c, added").primary_results[0].raw_rows
    equal(got, [[7, "2023-11-14T22:13:20.1230000Z", 0, "k", 1.5], [8, got[1][1], None, "w", None]])


def check_queued_is_stored_once_and_in_blocks():
    properties = table("Once", "n:long, s:string")
    resources = client.execute("NetDefaultDB", ".get ingestion resources").primary_results[0]
    place = next(row["StorageRoot"] for row in resources if row["ResourceTypeName"] == "TempStorage")
    root, sas = place.split("?")
    account, container = root.split("/kusto-blobs/")
    storage = BlobServiceClient(f"{account}/?{sas}", max_single_put_size=64 * 1024, max_block_size=256 * 1024)
    blob = storage.get_blob_client(container=f"kusto-blobs/{container}", blob=f"{uuid.uuid4()}/in blocks.csv")
    blob.upload_blob(b"".join(b"%d,some text\n" % n for n in range(100000)))
    with QueuedIngestClient(connection()) as ingest:
        descriptor = BlobDescriptor(blob.url)
        ingest.ingest_from_blob(descriptor, properties)
        # The same message again: its blob is gone, its rows are there.
        ingest.ingest_from_blob(descriptor, properties)
    equal(rows("Once | summarize count(), sum(n)"), [[100000, 100000 * 99999 // 2]])


def check_queued_failures_are_raised():
    properties = table("Failing", "n:long")
    with QueuedIngestClient(connection()) as ingest:
        raises(KustoQueueError, lambda: ingest.ingest_from_blob(BlobDescriptor("https://a.blob.core.windows.net/c/b.csv?sig=x"), properties))
        named = IngestionProperties(DATABASE, "Failing", data_format=DataFormat.CSV, ingestion_mapping_reference="nosuch", ingestion_mapping_kind=IngestionMappingKind.CSV)
        failed = raises(KustoQueueError, lambda: ingest.ingest_from_stream(io.BytesIO(b"1\n"), named))
        assert "nosuch" in str(failed.__cause__), failed.__cause__
    equal(rows("Failing | count"), [[0]])


def main():
    checks = [(name, check) for name, check in globals().items() if name.startswith("check_")]
    failed = 0
    client.execute(DATABASE, ".create table Ready (a:long)")
    for name, check in checks:
        began = time.monotonic()
        try:
            check()
            print(f"python ok   {name[6:]} ({time.monotonic() - began:.1f} s)")
        except Exception:
            failed += 1
            print(f"python FAIL {name[6:]}\n{traceback.format_exc()}")
    print(f"python: {len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(1 if failed else 0)


main()
