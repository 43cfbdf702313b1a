// Small queries of every operator over every pair of types, and of the names that operators give to columns.

const TYPES = ['bool', 'int', 'long', 'real', 'decimal', 'datetime', 'timespan', 'guid', 'string', 'dynamic'];
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>=', '=~', '!~'];
const ARITHMETIC = ['+', '-', '*', '/', '%'];
const TEXT = ['has', '!has', 'contains', 'startswith', 'endswith', 'hasprefix', 'matches regex', 'has_cs'];
const NAMED = [
  'print 1, a=2, now()', 'print a=1, a=2', 'print print_1=1, 2', 'print 1, print_0=2',
  'T | project c_long + 1, c_int * 2', 'T | extend c_long + 1, 2', 'T | extend Column1=1, c_long + 1',
  'T | project c_long, c_long', 'T | project x=c_long, x=c_int', 'T | project c_dynamic.a.b, c_dynamic["x"], c_dynamic[0]',
  'T | extend c_dynamic.a.b, c_dynamic["x y"], c_dynamic[0].z, c_dynamic[-1]', 'T | extend tostring(c_dynamic.a)',
  'T | project tostring(c_long), toint(c_string), strcat(c_string, "x"), bin(c_datetime, 1h), iff(c_bool, 1, 2)',
  'T | project -c_long, not(c_bool), (c_long), ((c_long + 1))', 'T | project c_long == 1, c_bool and c_bool',
  'T | summarize count(), sum(c_long), avg(c_real), dcount(c_string), make_list(c_int), take_any(c_guid), any(c_bool)',
  'T | summarize count(), count(), sum(c_long), sum(c_long)', 'T | summarize count() by bin(c_datetime, 1h), c_long % 2',
  'T | summarize count() by tostring(c_dynamic.a), strlen(c_string), c_dynamic.x', 'T | summarize by c_long, c_long',
  'T | summarize arg_max(c_datetime, *) by c_string', 'T | summarize arg_max(c_datetime, c_long, c_int) by c_string',
  'T | summarize arg_min(c_datetime, c_string)', 'T | summarize x=arg_max(c_datetime, c_long)',
  'T | summarize (x, y)=arg_max(c_datetime, c_long)', 'T | summarize take_any(*)', 'T | summarize take_any(c_long, c_int)',
  'T | summarize percentile(c_long, 95), percentiles(c_long, 5, 50.5, 95)', 'T | summarize round(avg(c_real), 2), 1 + count()',
  'T | summarize max(c_long), max(c_long + 1), min(tostring(c_dynamic.a))', 'T | summarize countif(c_bool), dcountif(c_long, c_bool)',
  'T | summarize make_set(c_dynamic.a), make_bag(c_dynamic), sumif(c_long, c_bool)', 'T | summarize max_c_long=1, max(c_long)',
  'T | summarize arg_max(c_datetime, c_long), max(c_long) by c_string', 'T | summarize count_=sum(c_long), count()',
  'T | distinct c_long, c_int', 'T | distinct *', 'T | distinct c_long + 1, tostring(c_int)', 'T | count', 'T | count as n',
  'T | top 3 by c_long + 1', 'T | sort by c_long asc, strlen(c_string)', 'T | project-rename a=c_long, b=c_int',
  'T | project-reorder c_string, c_r*, *', 'T | project-away c_d*, c_long', 'T | project-keep c_d*, c_long',
  'T | join T on c_long', 'T | join kind=leftouter T on c_long, c_int', 'T | join kind=leftsemi U on c_long',
  'T | join kind=leftanti U on c_long', 'T | join kind=rightsemi U on c_long', 'T | join kind=rightanti U on c_long',
  'T | join kind=inner U on $left.c_long == $right.k', 'T | join kind=fullouter U on c_long', 'T | join U on $left.c_int == $right.k',
  'T | join (T | project c_long, c_long1=2) on c_long', 'T | extend c_long1=1 | join T on c_long', 'T | lookup U on c_long',
  'T | lookup U on $left.c_long == $right.k', 'T | lookup kind=inner (U | project k, c_long, v) on c_long',
  'T | lookup (T | project c_long, c_int) on c_long', 'T | join (T | join T on c_long) on c_long',
  'T | union U', 'union T, U', 'union kind=inner T, U', 'union withsource=src T, U', 'union withsource=c_long T, U',
  'T | project c_long | union (T | project c_long=c_int)', 'T | project a=c_long | union (T | project a=c_string), (T | project a=c_real)',
  'T | project a=c_long | union (T | project a=c_string, a_long=c_long)', 'union (print a=1), (print a="x"), (print a=1.5), (print a=2)',
  'T | mv-expand c_dynamic', 'T | mv-expand x=c_dynamic', 'T | mv-expand c_dynamic to typeof(long)', 'T | mv-expand c_dynamic.a',
  'T | mv-expand x=c_dynamic to typeof(string), y=c_dynamic.z', 'T | mv-expand with_itemindex=i c_dynamic',
  'T | mv-expand bagexpansion=array kind=array c_dynamic', 'T | mv-expand todynamic(c_string)', 'T | mv-expand c_string',
  'T | mv-expand split(c_string, ",")', 'T | mv-apply c_dynamic on (summarize s=count())',
  'T | mv-apply x=c_dynamic to typeof(long) on (where x > 1)', 'T | mv-apply with_itemindex=i x=c_dynamic on (top 1 by i)',
  'T | mv-apply x=c_dynamic on (project y=x.a)', 'T | mv-apply x=c_dynamic on (extend y=x.a | project-away x)',
  'T | mv-apply c_dynamic to typeof(string) on (project c_long)', 'T | mv-apply c_dynamic on (project c_long=1)',
  'T | parse c_string with "a" x "b" y:long "c" *', 'T | parse c_string with * "a" c_long:string "b"', 'T | parse kind=regex c_string with a:long "x" b',
  'T | parse-where c_string with "a" x:real', 'T | parse-kv c_string as (a:long, b:string)', 'T | parse-kv c_string as (c_long:long)',
  'T | make-series count() on c_datetime from ago(1d) to now() step 1h by c_string', 'T | make-series n=avg(c_real) default=0, sum(c_long) on c_datetime step 1h',
  'T | make-series avg(c_long) on c_long step 1', 'T | make-series x=max(c_long) on t=c_datetime step 1h by bin(c_long, 10), k=c_int',
  'T | make-series count() on c_datetime in range(ago(1d), now(), 1h) by c_string',
  'T | top-nested 3 of c_string by sum(c_long)', 'T | top-nested 3 of c_string with others="x" by s=count(), top-nested of c_int by max(c_long)',
  'T | top-hitters 3 of c_string', 'T | top-hitters 3 of c_string by c_long', 'T | sample 3', 'T | sample-distinct 3 of c_string', 'T | sample-distinct 3 of x=c_long+1',
  'T | getschema', 'T | as X | union X', 'T | serialize n=row_number()', 'T | extend prev(c_long), next(c_long), row_number(), row_cumsum(c_long)',
  'T | partition by c_string (top 1 by c_long)', 'T | partition hint.strategy=native by c_string (summarize count())', 'T | partition by c_string { U }',
  'search "x"', 'search in (T) "x"', 'T | search "x"', 'search kind=case_sensitive in (T, U) c_string has "x" and v > 1', 'search in (T, U) "x" | where c_long > 1',
  'find in (T, U) where c_long > 1', 'find in (T, U) where c_long > 1 project c_string, v', 'find withsource=s in (T, U) where v == 1 project k, pack(*)',
  'find "x"', 'find where v == 1', 'T | render timechart', 'range x from 1 to 10 step 1', 'range x from 1 to 10 step 1.5', 'range t from ago(1d) to now() step 1h',
  'range x from int(1) to int(2) step int(1)', 'range x from 1h to 2h step 1m', 'datatable(a:long, b:string) [1, "x", 2, "y",]', 'datatable(a:long)[]',
  'let x = 1; print x, x + 1', 'let f = (a:long) { a + 1 }; T | project f(c_long), g=f(1)', 'let f = (X:(c_long:long)) { X | project c_long }; f(T)',
  'let f = (X:(*)) { X | extend y = 1 }; T | invoke f()', 'let f = (X:(*), n:long=5) { X | take n }; T | invoke f(n=3)', 'let f = () { T }; f | count', 'let f = () { T }; f() | count',
  'let v = view () { T }; union v, U', 'let t = materialize(T | take 1); t | union t', 'let s = toscalar(T | summarize max(c_long)); print s, x=s+1',
  'let a = dynamic([1,2]); T | where c_long in (a)', 'T | where c_long in (U)', 'T | where c_long in ((U | project k))', 'T | where c_string has_any (U | project c)', 'T | where c_string in~ (dynamic(["a"]))',
  'T | where c_string has_any ("a", "b")', 'T | where c_string has_any (dynamic(["a"]))', 'T | where c_string has_all ("a")', 'T | where c_long between (1 .. 5)', 'T | where c_datetime between (ago(1d) .. 1h)',
  'T | where c_datetime !between (datetime(2020-01-01) .. now())', 'T | where c_dynamic.x between (1 .. 2)', 'T | extend x = c_dynamic.a, y = c_dynamic.b | where x == y', 'T | where c_dynamic.x > ago(1d)', 'T | where c_dynamic.x in ("a", "b")',
  'T | extend column_ifexists("c_long", 1), column_ifexists("nope", "x")', 'T | project x=column_ifexists("nope", ""), column_ifexists("c_long", 0)', 'T | where isempty(column_ifexists("nope", c_string))',
  'T | extend x = make_datetime(2020, 1, 1), y = make_datetime("2020-01-01")', 'T | extend datetime_diff("day", now(), c_datetime), datetime_add("day", 1, c_datetime)', 'T | extend case(c_bool, 1, 2), case(c_bool, 1, 2.5), case(c_bool, "a", "b"), case(c_bool, c_int, c_long)',
  'T | extend iff(c_bool, 1, 2.5), iff(c_bool, c_int, c_long), iff(c_bool, c_dynamic, 1), coalesce(c_long, 1), coalesce(c_string, "a")', 'T | extend max_of(c_int, c_long), max_of(c_long, c_real), min_of(c_datetime, now())',
  'T | evaluate bag_unpack(c_dynamic) : (*, a:long)', 'T | evaluate bag_unpack(c_dynamic) : (a:long)', 'T | project x = 1h, 2 * 1h, 1h / 2, 1h / 2h, now() - 1h, now() - ago(1d), 1.5 * 1h, 1h % 30m',
  'T | project ["a b"] = 1, [\'c d\'] = 2 | project ["a b"] + 1', 'T | project (a, b) = split(c_string, ","), c', 'T | extend (a, b) = dynamic([1, 2])', "print h'secret', @'a\\b', ```multi\nline```, 'a' 'b'", 'print 0x10, 1e3, 10d, 1tick, 0.5ms',
  'T | where c_string == "a" | where c_string != "b" // comment\n| take 5;', ';;T | count;;', 'set notruncation; T | count', 'set querytrace=true; T | count', 'declare query_parameters(p:long=1, q:string="a"); T | where c_long == p', 'T | take toint(5)', 'T | limit 5 | order by c_long', 'T | where true',
  'T | where c_bool', 'T | where c_long', 'T | where c_dynamic', 'T | where c_string', 'T | where c_dynamic.a', 'T | where c_int', 'T | where nope', 'T | project nope', 'Nope', 'T | summarize nope()', 'T | extend nope(1)', 'T | nope', 'T | where count() > 1', 'T | summarize c_long by c_int',
  'T | join U', 'T | join U on nope', 'T | project-away nope', 'T | project-rename a=nope', 'T | take', 'T | where', 'T | summarize', 'T | extend', 'T | project', 'T | sort', 'T | top 5', 'T | union', 'T | mv-expand', 'T | parse', 'T | where c_long ==', 'T | where (c_long', 'T where c_long', 'print', 'T |', '| count', 'T | | count',
  'T | extend x = c_long, y = x + 1', 'T | extend x = 1 | extend y = x', 'T | project a = 1, b = a', 'T | take c_long', 'T | take 1.5', 'T | take "a"', 'T | top c_long by c_int', 'let f = (x:long) { x }; f("a")', 'let f = (x:long) { x }; f(1, 2)', 'let f = (x:long) { x }; f()', 'let f = (x:long) { x }; f(y=1)', 'let f = (x:long=1) { x }; print f()',
  'tolong(1)', '1', 'print tolong()', 'print tolong(1, 2)', 'print strlen(1)', 'print substring(1, 2)', 'T | project substring(c_dynamic, 1)', 'T | summarize sum(c_string)', 'T | summarize avg(c_datetime), avg(c_timespan), sum(c_timespan)', 'T | summarize max(c_dynamic)', 'T | summarize by c_dynamic', 'T | sort by c_dynamic', 'T | distinct c_dynamic', 'T | join U on $left.c_string == $right.k', 'T | join U on $left.c_dynamic == $right.k',
  'union isfuzzy=true (T | take 1), (_Im_Dns(a=1) | extend x = y)',
  'union isfuzzy=true (T | take 1), (Nope | extend x = y)',
  'print s="a" | parse s with "a" x ";" y | parse s with "b" x',
  'T | project c_string, c_long | parse c_string with "b" c_long:long',
  'T | project c_string, c_long | parse c_string with "b" c_long',
  'T | project c_string, c_long | parse c_string with "b" c_string',
  'T | project c_string, c_long | parse c_string with * "b" c_string "c"',
  'T | project c_string, c_long | parse-kv c_string as (c_string:long, b:string)',
  'T | project c_string, c_long | project round(c_long, 2), round(1.5), abs(c_long), sign(c_long), bin(c_long, 2), floor(c_long, 1), ceiling(c_long)',
  'T | project column_ifexists("c_long", ""), column_ifexists("c_int", 1.5), column_ifexists("nope", 1)',
  'T | summarize arg_max(c_long, *) by tostring(c_string), c_int | project c_real',
  'T | summarize arg_max(c_long, *) by x=c_string | getschema',
  'T | summarize take_any(*) by x=c_string, tostring(c_int)',
  'T | project c_string, c_long | summarize arg_max(c_long, *) by x=c_string',
  'let f = (a:string) { a }; T | project f(a=c_string), f(c_string), tostring(x=c_long)',
  'T | project c_string | as hint.materialized=true X | union X',
  'T | where datetime(now) > c_datetime',
  'T | join hint.strategy=shuffle kind = inner U on c_long | count',
  'T | join kind=leftantisemi U on c_long | count', 'T | join kind=anti U on c_long | count',
  'T | union hint.concurrency=1 U | count', 'T | summarize hint.strategy=shuffle hint.shufflekey=c_long count() by c_long',
  'T | extend hint=1', 'T | distinct hint.shufflekey=c_long c_long', 'T | sort hint.x=1 by c_long', 'T | take 5 | lookup hint.strategy=broadcast U on c_long | count',
  'union hint.concurrency=1 withsource = X kind = outer isfuzzy = true T, U | count', 'restrict access to (T); T | count', 'restrict access to (T, U*); U | count', 'restrict access to (T); U | count',
  'alias database x = cluster("c").database("d"); database("x").T | count', 'alias database x = database("db"); database("x").T | count', 'declare pattern p = (a:string)[b:string] { ("x").["y"] = { T }; }; p("x").y | count', 'declare pattern p; p("x").y | count',
  'let x = 5; set notruncation; T | count', 'T | count; set notruncation', 'let f = () { set notruncation; T }; f | count', 'let f = () { let x = 1; T | where c_long == x }; f | count', 'let f = () { T | count; }; f', 'let f = () { T; U }; f | count',
  'print x = 1 | where x == 1 ;', 'let x = 1', 'let x = 1;', '', '// c', ';', 'let f = (x:long) { T | where c_long == x }; let g = (y:long) { f(y) }; g(1) | count', 'let a = b; let b = 1; print a', 'let f = () { g() }; let g = () { 1 }; print f()',
  'let T2 = T; T2 | join kind=inner (T2) on c_long | project c_long1', 'T | where c_string in ("a", "b",)', 'T | project c_long,', 'T | extend x = 1,', 'T | summarize count(), by c_long', 'T | summarize count() by c_long,', 'print dynamic({"a":1,})', 'print dynamic({a:1})', "print dynamic({'a':1})",
  'T | where c_string !in~ ("a")', 'T | where c_string !has_any ("a")', 'T | where c_string ! has "a"', 'T | where not c_bool', 'T | where !c_bool', 'T | where c_string contains_cs "a"', 'T | where c_string notcontains "a"', 'T | where c_string !contains_cs "a"', 'T | where c_string notlike "a"', 'T | where c_string hassuffix_cs "a"', 'T | where c_string endswith_cs "a"',
  'T | top 5 by c_long asc nulls first', 'T | order by c_long nulls last', 'T | sort by c_long granny-asc', 'T | project-reorder c_long asc, c_d* granny-desc', 'T | project-reorder * asc | getschema',
  'T | project-rename c_long=c_int', 'T | project-rename x=c_long, x=c_int', 'T | project-rename c_long', 'T | project-away *', 'T | project-keep nope*', 'T | getschema | project ColumnOrdinal',
  'T | mv-expand c_dynamic limit 5', 'T | mv-expand c_dynamic to typeof(long) limit 5', 'T | mvexpand c_dynamic', 'T | mv-expand kind=bag x=c_dynamic', 'T | mv-apply x=c_dynamic limit 5 on (take 1)', 'T | mv-apply c_dynamic, c2=c_dynamic on (take 1)',
  'T | make-series kind=nonempty count() on c_datetime step 1h', 'T | make-series count() default=0 on c_datetime from ago(1d) step 1h', 'T | summarize percentiles_array(c_long, 5, 95), percentilesw(c_long, c_int, 5), percentilew(c_long, c_int, 5)', 'T | summarize (a, b)=percentiles(c_long, 5, 95)', 'T | summarize x=percentiles(c_long, 5, 95)', 'T | summarize hll(c_long), dcount_hll(hll(c_long)), tdigest(c_long), stdev(c_long), variance(c_long), binary_all_and(c_long)',
  'T | summarize make_list_with_nulls(c_long), make_list_if(c_long, c_bool), make_set_if(c_long, c_bool), avgif(c_real, c_bool), maxif(c_long, c_bool), minif(c_long,c_bool), stdevif(c_long, c_bool), take_anyif(c_long,c_bool), count_distinct(c_long), count_distinctif(c_long,c_bool)',
  'T | summarize argmax(c_long, c_int), argmin(c_long, c_int), makelist(c_long), makeset(c_long), buildschema(c_dynamic), covariance(c_long, c_int), stdevp(c_long), variancep(c_long)', 'T | summarize any(c_long), any(c_long, c_int), any(*)', 'T | summarize max(c_long) - min(c_long), a=sum(c_long)/count()', 'T | summarize tostring(max(c_long)), bin(max(c_long), 5), max(c_datetime) - 1h', 'T | summarize dcount(c_long), dcount(c_long + 1), dcount(tostring(c_dynamic.x)), sum(c_dynamic.x), sum(tolong(c_dynamic.x))',
  'T | extend bin(c_datetime, 1h), startofday(c_datetime), c_datetime - 1h, format_datetime(c_datetime, "y"), datetime_part("year", c_datetime), ago(1h), toupper(c_string), trim(" ", c_string), strcat(c_string), replace_string(c_string, "a", "b"), extract("a", 0, c_string), parse_json(c_string), todynamic(c_string), split(c_string, ","), array_length(c_dynamic), isempty(c_string), case(c_bool, 1, 2), iff(c_bool, c_long, c_int), iif(c_bool, 1, 2), coalesce(c_long, 1), max_of(1, 2), pack("a", 1), bag_pack("a", 1), pack_array(1), hash(c_string), geo_distance_2points(1.0,2.0,3.0,4.0), parse_url(c_string), parse_ipv4(c_string), ipv4_is_private(c_string), countof(c_string, "a"), indexof(c_string, "a"), toint(c_string), todouble(c_string), tobool(c_string), todatetime(c_string), totimespan(c_string), toguid(c_string), gettype(c_string), rand(), new_guid(), now() | project-away c_*',
  'T | project bin(c_datetime, 1h), startofday(c_datetime), c_datetime - 1h, tostring(c_dynamic.a.b), tostring(c_dynamic["a"]), tostring(c_dynamic[0]), toupper(tostring(c_dynamic.a)), tostring(parse_json(c_string).a), parse_json(c_string).a, split(c_string, ",")[0], tostring(split(c_string, ",")[0]), (c_dynamic.a), -c_long, todynamic(c_string).x.y, array_length(c_dynamic.a)',
];

/** Queries over `T`, with a column of every type, and `U`. */
export function probes() {
  const queries = [...NAMED];
  for (const left of TYPES) {
    for (const right of TYPES) {
      for (const operator of [...COMPARISONS, ...ARITHMETIC]) queries.push(`T | project x = c_${left} ${operator} c_${right}`);
      queries.push(`T | where c_${left} in (c_${right})`, `T | where c_${left} between (c_${right} .. c_${right})`);
      queries.push(`T | project iff(c_bool, c_${left}, c_${right}), coalesce(c_${left}, c_${right})`);
      queries.push(`T | join (T | project k = c_${right}) on $left.c_${left} == $right.k | count`);
      queries.push(`let f = (x:${left}) { x }; T | project f(c_${right})`);
      queries.push(`T | project bin(c_${left}, c_${right})`);
      queries.push(`range x from toscalar(T | project c_${left}) to toscalar(T | project c_${left}) step toscalar(T | project c_${right})`);
    }
    for (const operator of TEXT) queries.push(`T | where c_${left} ${operator} "a"`, `T | where c_string ${operator} c_${left}`);
    for (const literal of ['1', '1.5', '"1"', '"a"', '1h', 'true', 'datetime(2020-01-01)', 'dynamic(1)', 'int(1)', 'dynamic(null)', 'guid(null)']) {
      queries.push(`T | where c_${left} == ${literal}`, `T | where c_${left} > ${literal}`, `T | where c_${left} in (${literal})`);
      queries.push(`T | extend x = c_${left} + ${literal}`, `T | extend x = c_${left} * ${literal}`);
    }
    queries.push(`T | project -c_${left}`, `T | where not(c_${left})`, `T | where c_${left} and true`, `T | mv-expand c_${left}`, `T | sort by c_${left}`);
    queries.push(`T | summarize sum(c_${left}), min(c_${left})`, `T | summarize avg(c_${left})`, `T | summarize percentile(c_${left}, 5)`, `T | summarize make_set(c_${left}), dcount(c_${left})`);
    queries.push(`T | project c_${left}.a`, `T | project c_${left}[0]`, `T | where isempty(c_${left}) or isnull(c_${left})`, `T | project strlen(c_${left})`, `T | project tostring(c_${left}), tolong(c_${left})`);
  }
  return queries.map((query, at) => ({ id: `probe/${at}`, query, tables: tables() }));
}

function tables() {
  const all = TYPES.map((type) => [`c_${type}`, type]);
  return new Map([['T', new Map(all)], ['U', new Map([['k', 'long'], ['c_long', 'long'], ['v', 'real'], ['c', 'string']])]]);
}
