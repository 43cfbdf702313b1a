// Microsoft's language service: loading it, asking it about a text.

import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

const folder = path.dirname(createRequire(import.meta.url).resolve('@kusto/language-service-next'));
for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, file), 'utf8'), file);
}
const { Kusto, System } = globalThis;
export const Language = Kusto.Language;
export const Symbols = Language.Symbols;

export const DATABASE = 'db';
const KINDS = { scalar: 'long', error: 'unknown' };

/** A list of the service as an array. */
export function list(items) {
  return items ? System.Linq.Enumerable.from(items).ToArray(System.Object) : [];
}

/** The class of a syntax node without its name space. */
export function kindOf(node) {
  return node ? node.constructor.$$name.split('.').pop() : '';
}

/** The name of a type as kyma spells it. */
export function typeName(type) {
  if (!type) return 'unknown';
  if (kindOf(type).startsWith('Dynamic')) return 'dynamic';
  return KINDS[type.Name] ?? type.Name;
}

export function isTable(type) {
  return type instanceof Symbols.TableSymbol;
}

function quoted(name) {
  return `['${name.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}']`;
}

/** What the service knows: the same tables in every database and cluster that is named. */
export function globals(stubs) {
  const tables = [...stubs.tables].map(([name, columns]) => {
    const schema = [...columns].map(([column, type]) => `${quoted(column)}:${type}`).join(', ');
    return new Symbols.TableSymbol.$ctor7(name, `(${schema})`, null);
  });
  const named = (name) => new Symbols.DatabaseSymbol.$ctor3(name, null, tables, false);
  const own = named(DATABASE);
  const databases = [own, ...[...stubs.databases].map(named)];
  const cluster = (name) => new Symbols.ClusterSymbol.$ctor1(name, databases, false);
  const home = cluster('cluster');
  const clusters = [home, ...[...stubs.clusters].map(cluster)];
  return Language.GlobalState.Default.WithClusterList(clusters).WithCluster(home).WithDatabase(own);
}

/** The text analysed: its syntax, errors and result. */
export function analyse(text, stubs) {
  const code = Language.KustoCode.ParseAndAnalyze(text, globals(stubs));
  const all = list(code.GetDiagnostics());
  return {
    code,
    root: code.Syntax,
    errors: all.filter((diagnostic) => diagnostic.Severity === 'Error'),
    warnings: all.filter((diagnostic) => diagnostic.Severity !== 'Error'),
  };
}

export function columnsOf(code) {
  const result = code.ResultType;
  if (!isTable(result)) return null;
  return list(result.Columns).map((column) => [column.Name, typeName(column.Type)]);
}

/** Every node of a syntax tree, parents first. */
export function nodes(root) {
  const found = [];
  Language.Syntax.SyntaxElement.WalkNodes(root, (node) => { found.push(node); });
  return found;
}
