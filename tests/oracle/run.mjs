// What Microsoft's language service says of real queries, as JSON lines for kyma's comparison.
//
//     node run.mjs QUERIES.jsonl OUT.jsonl [EVERY]     with tables guessed
//     node run.mjs --probes OUT.jsonl                  of small queries of our own

import fs from 'node:fs';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const WORKERS = 2;

if (process.argv[2] === '--probes') await probe(process.argv[3]);
else if (isMainThread) await lead(process.argv[2], process.argv[3], Number(process.argv[4] ?? 1));
else await work(workerData.lines);

async function lead(input, output, every) {
  const lines = fs.readFileSync(input, 'utf8').split('\n').filter(Boolean).filter((_, at) => at % every === 0);
  const parts = Array.from({ length: WORKERS }, (_, part) => lines.filter((_line, at) => at % WORKERS === part));
  const answers = await Promise.all(parts.map(answersOf));
  const all = lines.map((_, at) => answers[at % WORKERS][Math.floor(at / WORKERS)]);
  fs.writeFileSync(output, all.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
  const accepted = all.filter((answer) => answer.errors.length === 0).length;
  console.error(`oracle: ${all.length} queries, ${accepted} accepted, the rest rejected also with guessed tables`);
}

async function probe(output) {
  const { probes } = await import('./probes.mjs');
  const { analyse, columnsOf } = await import('./service.mjs');
  const answers = probes().map(({ id, query, tables }) => {
    const stubs = { tables, databases: new Set(), clusters: new Set() };
    return answerOf(id, { stubs, text: query, ...analyse(query, stubs) }, columnsOf);
  });
  fs.writeFileSync(output, answers.map((answer) => `${JSON.stringify(answer)}\n`).join(''));
}

function answersOf(lines) {
  return new Promise((resolve, reject) => {
    const answers = [];
    const worker = new Worker(new URL(import.meta.url), { workerData: { lines }, stackSize: 64 });
    worker.on('message', (answer) => answers.push(answer));
    worker.on('error', reject);
    worker.on('exit', () => resolve(answers));
  });
}

async function work(lines) {
  const { close } = await import('./stubs.mjs');
  const { columnsOf } = await import('./service.mjs');
  for (const line of lines) {
    const { id, query } = JSON.parse(line);
    parentPort.postMessage(answerOf(id, close(query), columnsOf));
  }
}

function answerOf(id, { stubs, text, code, errors }, columnsOf) {
  const tables = Object.fromEntries([...stubs.tables].map(([name, columns]) => [name, [...columns]]));
  return {
    id,
    text,
    tables,
    databases: [...stubs.databases],
    clusters: [...stubs.clusters],
    columns: columnsOf(code),
    errors: errors.map(({ Code, Message, Start, Length }) => ({
      code: Code, message: Message, at: text.slice(Start, Start + Length),
    })),
  };
}
