// Tables and functions that a query asks for, found by asking the service which names it does not know.
//
// 1. A name that is no table becomes one, a call that is no function becomes a `let` before the query.
// 2. A name that is no column becomes a column of the first table that feeds its operator and has no such column yet.
// 3. Columns get a type from where they stand; where the service still objects, other types are tried, the fewest errors win.

import { analyse, isTable, kindOf, list, nodes, typeName } from './service.mjs';

const ROUNDS_MAX = 60;
const TRIALS_MAX = 250;
const TYPES = ['string', 'dynamic', 'long', 'datetime', 'real', 'bool', 'timespan', 'guid'];
const UNKNOWN_NAME = ['KS142', 'KS145', 'KS141', 'KS109'];
const UNKNOWN_TABLE = ['KS204', 'KS205', 'KS230'];
const UNKNOWN_FUNCTION = ['KS211', 'KS236'];
const SUSPECT_BYTES_MAX = 2000;
const PIPED = 'piped_rows';
const SUMMED = /^(sum|sumif|avg|avgif|stdev|stdevif|variance|percentile|percentiles|percentilesw)$/;

/** Everything guessed for one query. */
export function emptyStubs() {
  return { tables: new Map(), databases: new Set(), clusters: new Set(), functions: new Map() };
}

/** The `let` statements of guessed functions. */
export function prelude(stubs) {
  return [...stubs.functions].map(([name, { params, table }]) => {
    const tablesFirst = [...params].sort((a, b) => Number(b.type === 'table') - Number(a.type === 'table'));
    const declared = tablesFirst.map(({ name: param, type }) => {
      if (type === 'table') return `${param}:(*)`;
      return `${param}:${type}=${type === 'string' ? "''" : `${type}(null)`}`;
    });
    return `let ${name} = (${declared.join(', ')}) { ${table ? `['${table}']` : "''"} };\n`;
  }).join('');
}

/** Guesses until the service is content or no guess helps. */
export function close(query) {
  const stubs = emptyStubs();
  let state = analyseWith(query, stubs);
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (!grow(state, stubs)) break;
    state = analyseWith(query, stubs);
  }
  giveTypes(state, stubs);
  state = settleTypes(query, stubs);
  return { stubs, ...state };
}

function analyseWith(query, stubs) {
  const text = prelude(stubs) + query;
  return { text, ...analyse(text, stubs) };
}

/** Adds what is missing; false when nothing could be added. */
function grow(state, stubs) {
  const context = contextOf(state, stubs);
  let grown = false;
  for (const diagnostic of [...state.errors, ...state.warnings]) {
    const { Code: code, Start: start, Length: length } = diagnostic;
    const node = context.nodeAt(start, length);
    if (!node) continue;
    const name = nameOf(state.text.slice(start, start + length));
    if (code === 'KS207') grown = addTo(stubs.clusters, name) || grown;
    else if (code === 'KS208') grown = addTo(stubs.databases, name) || grown;
    else if (UNKNOWN_TABLE.includes(code)) {
      const called = context.calls.find((call) => call.TextStart === start);
      grown = (called ? addFunction(context, called.Name.SimpleName) : addTable(stubs, name)) || grown;
    } else if (UNKNOWN_FUNCTION.includes(code)) grown = addFunction(context, name) || grown;
    else if (UNKNOWN_NAME.includes(code)) grown = addColumn(context, node, name, code) || grown;
  }
  return grown;
}

function addTo(set, name) {
  if (set.has(name)) return false;
  set.add(name);
  return true;
}

function nameOf(text) {
  const bracketed = /^\[\s*(['"])(.*)\1\s*\]$/s.exec(text);
  const quoted = /^@?(['"])(.*)\1$/s.exec(text);
  return bracketed?.[2] ?? quoted?.[2] ?? text;
}

function addTable(stubs, name) {
  if (stubs.tables.has(name) || name.includes('*') || name === '') return false;
  stubs.tables.set(name, new Map());
  return true;
}

/** Lookups in one analysed text. */
function contextOf(state, stubs) {
  const all = nodes(state.root);
  const lets = new Map();
  const params = new Map();
  for (const node of all) {
    if (kindOf(node) === 'LetStatement') lets.set(node.Name.SimpleName, node);
    if (kindOf(node) === 'FunctionParameter') {
      const name = nodes(node).find((part) => kindOf(part) === 'NameDeclaration')?.SimpleName;
      const owner = parentOf(node, 'LetStatement');
      if (name && owner) params.set(name, owner.Name.SimpleName);
    }
  }
  const calls = all.filter((node) => kindOf(node) === 'FunctionCallExpression');
  const nodeAt = (start, length) => {
    const inside = all.filter((node) => node.TextStart === start && node.TextStart + node.Width <= start + length
      && node.Width > 0);
    return inside[0] ?? all.findLast((node) => node.TextStart <= start && node.End >= start + length);
  };
  return { state, stubs, all, lets, params, calls, nodeAt };
}

function parentOf(node, kind) {
  for (let at = node.Parent; at; at = at.Parent) if (kindOf(at) === kind) return at;
  return null;
}

/** Names of guessed tables below a node, in order, through `let` and functions. */
function tablesUnder(node, context, seen = new Set()) {
  const found = [];
  for (const part of nodes(node)) {
    if (kindOf(part) !== 'NameReference') continue;
    const name = part.SimpleName;
    if (isTable(part.ReferencedSymbol ?? part.ResultType) && context.stubs.tables.has(name)) found.push(name);
    if (seen.has(name)) continue;
    const bound = context.lets.get(name);
    const owner = context.params.get(name);
    if (bound && !isInside(part, bound)) {
      found.push(...tablesUnder(bound.Expression, context, new Set([...seen, name])));
    } else if (owner && isTable(part.ResultType)) {
      found.push(...tablesOfCalls(owner, context, new Set([...seen, name])));
    }
  }
  return [...new Set(found)];
}

function isInside(node, outer) {
  return node.TextStart >= outer.TextStart && node.End <= outer.End;
}

/** Tables handed to a function of the query, piped ones too. */
function tablesOfCalls(owner, context, seen) {
  const found = [];
  for (const call of context.calls.filter((node) => node.Name.SimpleName === owner)) {
    found.push(...tablesUnder(call.ArgumentList, context, seen));
    const invoke = parentOf(call, 'InvokeOperator');
    if (invoke && kindOf(invoke.Parent) === 'PipeExpression') {
      found.push(...tablesUnder(invoke.Parent.Expression, context, seen));
    }
  }
  return found;
}

/** Groups of tables that a name at `node` may be a column of: of one input each, nearest first. */
function inputsOf(node, context) {
  const groups = [];
  for (let at = node, parent = node.Parent; parent; at = parent, parent = parent.Parent) {
    const kind = kindOf(parent);
    if (kind === 'PipeExpression' && at !== parent.Expression) groups.push(tablesUnder(parent.Expression, context));
    if (kind === 'JoinOperator' || kind === 'LookupOperator') {
      if (at !== parent.Expression) groups.push(tablesUnder(parent.Expression, context));
    }
    if (kind === 'FindOperator' || kind === 'SearchOperator') groups.push(tablesUnder(parent, context));
  }
  return groups.filter((group) => group.length > 0);
}

function addColumn(context, node, name, code) {
  const { stubs } = context;
  if (name === '' || name.includes('*') || /\s/.test(name.trim()) && !name.includes(' ')) return false;
  const groups = inputsOf(node, context);
  if (groups.length === 0) {
    if (kindOf(node) === 'NameReference' && stubs.tables.size === 0) return addTable(stubs, name);
    groups.push([...stubs.tables.keys()]);
  }
  // A key of a join is a column of both sides.
  const wanted = code === 'KS145' ? groups.slice(0, 2) : groups;
  let added = false;
  for (const group of wanted) {
    const table = group.find((candidate) => !stubs.tables.get(candidate).has(name));
    if (!table) continue;
    stubs.tables.get(table).set(name, guessByName(name));
    added = true;
    if (code !== 'KS145') return true;
  }
  return added;
}

function guessByName(name) {
  return /^(timestamp|time|timegenerated)$|(Time|Date|_t)$/i.test(name) ? 'datetime' : 'string';
}

/** A call as a `let` function with the arguments that its calls give. */
function addFunction(context, name) {
  const { stubs, calls } = context;
  if (stubs.functions.has(name) || !/^\w+$/.test(name)) return false;
  const own = calls.filter((call) => call.Name.SimpleName === name);
  if (own.length === 0) return false;
  // What is invoked gives the rows that it is given.
  const invoked = own.some((call) => kindOf(call.Parent) === 'InvokeOperator');
  const table = own.some(isTabularPlace) ? `${name}_rows` : null;
  const params = invoked ? [{ name: PIPED, type: 'table' }] : [];
  for (const call of own) {
    list(call.ArgumentList.Expressions).forEach((element, at) => {
      const arg = element.Element;
      const named = kindOf(arg) === 'SimpleNamedExpression';
      const param = named ? arg.Name.SimpleName : `arg${at}`;
      if (params.some((known) => known.name === param)) return;
      params.push({ name: param, type: argumentType(named ? arg.Expression : arg) });
    });
  }
  stubs.functions.set(name, { params, table: invoked ? PIPED : table });
  if (table && !invoked) stubs.tables.set(table, new Map());
  return true;
}

function argumentType(expression) {
  if (isTable(expression.ResultType)) return 'table';
  const type = typeName(expression.ResultType);
  return TYPES.includes(type) || type === 'int' ? type : 'string';
}

function isTabularPlace(call) {
  let at = call;
  while (kindOf(at.Parent) === 'ParenthesizedExpression') at = at.Parent;
  const parent = at.Parent;
  const kind = kindOf(parent);
  if (kind === 'PipeExpression') return at === parent.Expression;
  if (['JoinOperator', 'LookupOperator', 'InvokeOperator', 'ExpressionStatement', 'LetStatement', 'FunctionBody']
    .includes(kind)) return true;
  return Boolean(parentOf(at, 'UnionOperator')) && kind === 'SeparatedElement';
}

/** Types of guessed columns from where they stand. */
function giveTypes(state, stubs) {
  for (const node of nodes(state.root)) {
    const found = kindOf(node) === 'NameReference' && guessByUse(node);
    if (!found) continue;
    for (const columns of stubs.tables.values()) {
      const known = columns.get(node.SimpleName);
      if (known && (known === 'string' || found === 'dynamic')) columns.set(node.SimpleName, found);
    }
  }
}

function guessByUse(node) {
  const parent = node.Parent;
  const kind = kindOf(parent);
  if (kind === 'PathExpression' || kind === 'ElementExpression') return parent.Expression === node ? 'dynamic' : null;
  if (kind === 'MvExpandExpression' || kind === 'MvApplyExpression') return 'dynamic';
  if (kind === 'BetweenExpression') return parent.Left === node ? simple(parent.Right.First.ResultType) : null;
  if (kind === 'BinaryExpression') {
    const other = parent.Left === node ? parent.Right : parent.Left;
    return simple(other.ResultType);
  }
  const call = kind === 'SeparatedElement' ? parentOf(node, 'FunctionCallExpression') : null;
  if (!call || parent.Parent?.Parent?.Parent !== call) return null;
  const name = call.Name.SimpleName;
  if (SUMMED.test(name)) return 'long';
  if (name === 'bin' || name === 'floor') return simpleOfBin(list(call.ArgumentList.Expressions)[1]?.Element);
  return null;
}

function simpleOfBin(size) {
  const type = size && typeName(size.ResultType);
  return type === 'timespan' ? 'datetime' : simple(size?.ResultType);
}

function simple(type) {
  const name = typeName(type);
  if (name === 'int') return 'long';
  return TYPES.includes(name) && name !== 'string' ? name : null;
}

/** Takes back a column that a later operator declares: it was missed only because of another one. */
function dropDeclared(query, stubs, state) {
  let best = state;
  for (const { Start: start, Length: length } of state.errors.filter((error) => error.Code === 'KS171')) {
    const name = nameOf(state.text.slice(start, start + length));
    const owners = [...stubs.tables.values()].filter((columns) => columns.has(name));
    const types = owners.map((columns) => columns.get(name));
    owners.forEach((columns) => columns.delete(name));
    const tried = analyseWith(query, stubs);
    if (tried.errors.length < best.errors.length) best = tried;
    else owners.forEach((columns, at) => columns.set(name, types[at]));
  }
  return best;
}

/** Tries other types for the columns that stand in an error, keeps what lessens the errors. */
function settleTypes(query, stubs) {
  let state = dropDeclared(query, stubs, analyseWith(query, stubs));
  let trials = 0;
  for (let better = true; better && state.errors.length > 0 && trials < TRIALS_MAX;) {
    better = false;
    for (const [columns, name] of suspects(state, stubs)) {
      const before = columns.get(name);
      for (const type of TYPES.filter((candidate) => candidate !== before)) {
        columns.set(name, type);
        const tried = analyseWith(query, stubs);
        trials += 1;
        if (tried.errors.length < state.errors.length) {
          state = tried;
          better = true;
          break;
        }
        columns.set(name, before);
      }
      if (better || trials >= TRIALS_MAX) break;
    }
  }
  return state;
}

/** Guessed columns that are named within an error, or beside it: an error may stand at an operator or a function. */
function suspects(state, stubs) {
  const found = [];
  const all = nodes(state.root);
  const names = all.filter((node) => kindOf(node) === 'NameReference');
  for (const { Start: start, Length: length } of state.errors) {
    const around = all.findLast((node) => node.TextStart <= start && node.End >= start + length);
    const outer = around?.Parent ?? around;
    const from = outer ? Math.min(outer.TextStart, start) : start;
    const to = outer ? Math.max(outer.End, start + length) : start + length;
    if (to - from > SUSPECT_BYTES_MAX) continue;
    for (const node of names.filter((name) => name.TextStart >= from && name.End <= to)) {
      for (const columns of stubs.tables.values()) {
        if (columns.has(node.SimpleName)) found.push([columns, node.SimpleName]);
      }
    }
  }
  return found;
}
