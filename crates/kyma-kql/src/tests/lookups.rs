//! Points looked up in shapes, and partitions over a table of their own.

use super::plan;

const TABLES: &str = "let shapes = datatable(name:string, shape:dynamic)['a', dynamic({})];
    let points = datatable(at:string, x:real, y:real)['p', 1.0, 2.0]; ";

#[track_caller]
fn columns(text: &str, expected: &str) {
    let text = format!("{TABLES}{text}");
    let query = plan(&text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    let columns = query.statements[0].plan.schema.columns().iter();
    let found: Vec<String> = columns.map(|column| format!("{}:{}", column.name, column.ty.name())).collect();
    assert_eq!(found.join(", "), expected, "{text}");
}

#[track_caller]
fn refused(text: &str, code: &str) {
    let text = format!("{TABLES}{text}");
    let errors = plan(&text).expect_err(&text);
    assert_eq!(errors.0[0].code, code, "{text}: {errors}");
}

#[test]
fn lookups_give_the_columns_of_both_sides() {
    let plain = "at:string, x:real, y:real, name:string";
    columns("points | evaluate geo_polygon_lookup(shapes, shape, x, y)", plain);
    columns("points | evaluate geo_polygon_lookup(shapes, shape, x, y, 100, true)", plain);
    columns("points | evaluate geo_line_lookup(shapes, shape, x, y, 100)", plain);
    let keyed = "at:string, x:real, y:real, name:string, shape:dynamic";
    columns("points | evaluate geo_line_lookup(shapes, shape, x, y, 100, return_lookup_key = true)", keyed);
    let renamed = "at:string, x:real, y:real, name:long, name1:string";
    columns("points | extend name = 1 | evaluate geo_line_lookup(shapes, shape, x, y, radius = 100)", renamed);
}

#[test]
fn lookups_say_what_they_need() {
    refused("points | evaluate geo_line_lookup(shapes, shape, x, y)", "kql.arguments");
    refused("points | evaluate geo_polygon_lookup(shapes, shape, x)", "kql.arguments");
    refused("points | evaluate geo_polygon_lookup(shapes, shape, x, y, around = 1)", "kql.arguments");
    refused("points | evaluate geo_polygon_lookup(shapes, shape, x, y, radius = 'far')", "kql.type");
    refused("points | evaluate geo_polygon_lookup(shapes, nothing, x, y)", "kql.unknown_column");
}

#[test]
fn a_partition_over_a_table_of_its_own_knows_the_key() {
    columns(
        "shapes | partition by name { points | extend key = toscalar(name) }",
        "at:string, x:real, y:real, key:string",
    );
    columns("shapes | partition by name { points | summarize n = count() by name }", "n:long");
    columns("shapes | partition by name { points }", "at:string, x:real, y:real");
    columns("shapes | partition by name { take 1 }", "name:string, shape:dynamic");
}
