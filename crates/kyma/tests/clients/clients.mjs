// The JavaScript clients azure-kusto-data and azure-kusto-ingest against kyma: node clients.mjs URL
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Client, ClientRequestProperties, KustoConnectionStringBuilder } from "azure-kusto-data";
import {
    DataFormat, FieldTransformation, IngestClient, IngestionMappingKind, IngestionProperties, JsonColumnMapping, ManagedStreamingIngestClient,
    StreamingIngestClient,
} from "azure-kusto-ingest";

const url = process.argv[2];
const database = "clients_js";
const connection = () => new KustoConnectionStringBuilder(url);
const client = new Client(connection());
const guid = "123e27de-1e4e-49d9-b579-fe0b331d3642";

const rows = async (text, properties) => [...(await client.execute(database, text, properties)).primaryResults[0].rows()].map((row) => row.raw);
const raised = async (call) => {
    try {
        await call();
    } catch (error) {
        return error;
    }
    throw new Error("nothing was raised");
};
const inFolder = async (content, use) => {
    const folder = mkdtempSync(join(tmpdir(), "kyma-clients-"));
    try {
        writeFileSync(join(folder, "rows.csv"), content);
        await use(join(folder, "rows.csv"));
    } finally {
        rmSync(folder, { recursive: true });
    }
};
const table = (name, columns) => client.execute(database, `.create table ${name} (${columns})`);
const properties = (name, format, more) => new IngestionProperties({ database, table: name, format, ...more });

const everyType = `print b = true, i = int(-5), l = 9007199254740991, r = 1.5, nan = real(nan), n = decimal(2.00000000000001),
    t = datetime(2015-01-01 01:01:01.0000001), s = time(-1.02:03:04.5), g = guid(${guid}), x = 'ünï"x', d = dynamic({"a":[1,"b",null]}), nul = long(null), nos = ''`;
const everyValue = [
    true, -5, 9007199254740991, 1.5, "NaN", "2.00000000000001", "2015-01-01T01:01:01.0000001Z", "-1.02:03:04.5000000", guid, 'ünï"x', { a: [1, "b", null] },
    null, "",
];

const checks = {
    async "every type in v2 and v1"() {
        assert.deepEqual(await rows(everyType), [everyValue]);
        const answer = await client.executeQueryV1(database, everyType);
        assert.deepEqual([...answer.primaryResults[0].rows()][0].raw, everyValue);
        const row = [...(await client.execute(database, everyType)).primaryResults[0].rows()][0];
        assert.equal(row.t.toISOString(), "2015-01-01T01:01:01.000Z");
    },
    async "query parameters and options"() {
        const asked = new ClientRequestProperties();
        asked.setParameter("x", 5);
        asked.setParameter("s", "it's");
        asked.setTimeout(60000);
        asked.setOption("query_now", "2020-01-01");
        const text = "declare query_parameters(x:long, s:string); print x + 1, s, now()";
        assert.deepEqual(await rows(text, asked), [[6, "it's", "2020-01-01T00:00:00.0000000Z"]]);
    },
    async "errors carry Kusto's words"() {
        const error = await raised(() => rows("print nosuch"));
        assert.equal(error.response.status, 400);
        assert.match(error.response.data.error["@message"], /Semantic error: SEM/);
    },
    async "partial failures"() {
        const asked = new ClientRequestProperties({ truncationmaxrecords: 5, results_error_reporting_placement: "end_of_dataset" });
        const error = await raised(() => rows("range x from 1 to 9 step 1", asked));
        assert.match(error.message, /Kusto request had errors.*too large/);
    },
    async "big results"() {
        assert.equal((await rows("range x from 1 to 200000 step 1")).length, 200000);
    },
    async commands() {
        await table("Commands", "a:long");
        const listed = (await client.execute(database, ".show tables")).primaryResults[0];
        assert.ok([...listed.rows()].some((row) => row.TableName === "Commands"));
    },
    async "streaming ingestion"() {
        await table("Streamed", "a:long, b:string");
        const ingest = new StreamingIngestClient(connection());
        await ingest.ingestFromStream(Readable.from(["1,x\n2,y\n"]), properties("Streamed", DataFormat.CSV));
        await ingest.ingestFromStream(Readable.from(['[{"a":3,"b":"z"}]']), properties("Streamed", DataFormat.MULTIJSON));
        ingest.close();
        assert.deepEqual(await rows("Streamed | summarize count(), sum(a)"), [[3, 6]]);
    },
    async "managed streaming ingestion, small and large"() {
        await table("Managed", "a:long, b:string");
        const ingest = new ManagedStreamingIngestClient(connection(), connection());
        await ingest.ingestFromStream(Readable.from([Buffer.from("1,x\n")]), properties("Managed", DataFormat.CSV));
        // More than 4 MiB are queued.
        await inFolder(`2,${"y".repeat(1000)}\n`.repeat(5000), async (path) => {
            await ingest.ingestFromStream(createReadStream(path), properties("Managed", DataFormat.CSV));
        });
        ingest.close();
        assert.deepEqual(await rows("Managed | count"), [[5001]]);
    },
    async "queued ingestion from a file and a stream"() {
        await table("Queued", "a:long, b:string");
        const ingest = new IngestClient(connection());
        await inFolder("1,x\n2,y\n", (path) => ingest.ingestFromFile(path, properties("Queued", DataFormat.CSV)));
        await ingest.ingestFromStream(Readable.from([Buffer.from("3,z\n")]), properties("Queued", DataFormat.CSV));
        ingest.close();
        assert.deepEqual(await rows("Queued | summarize count(), sum(a)"), [[3, 6]]);
    },
    async "queued ingestion through a mapping"() {
        await table("Mapped", "n:long, at:datetime");
        const columns = [
            JsonColumnMapping.withPath("n", "$.a.b[1]", "long"),
            JsonColumnMapping.withPath("at", "$.ms", "datetime", FieldTransformation.DateTimeFromUnixMilliseconds),
        ];
        const mapping = { ingestionMappingColumns: columns, ingestionMappingKind: IngestionMappingKind.JSON };
        const ingest = new IngestClient(connection());
        await ingest.ingestFromStream(Readable.from([Buffer.from('{"a":{"b":[0,7]},"ms":1700000000123}')]), properties("Mapped", DataFormat.JSON, mapping));
        ingest.close();
        assert.deepEqual(await rows("Mapped | project n, at"), [[7, "2023-11-14T22:13:20.1230000Z"]]);
    },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
    const began = Date.now();
    try {
        await check();
        console.log(`js ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
        failed += 1;
        console.log(`js FAIL ${name}\n`, error.response?.data ?? error);
    }
}
console.log(`js: ${Object.keys(checks).length - failed} of ${Object.keys(checks).length} checks passed`);
client.close();
process.exit(failed ? 1 : 0);
