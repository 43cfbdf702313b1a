//! Small shapes whose measures can be told by hand: octants, degrees along the equator, squares.

use kyma_core::{Type, Value};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::geojson::Geometry;
use super::order;
use super::sphere::EARTH_METRES;
use crate::scalar::scalar;
use crate::{Arg, Call, EvalContext, array_value};

const DEGREE: f64 = EARTH_METRES * std::f64::consts::PI / 180.0;
const OCTANT: &str = r#"{"type":"Polygon","coordinates":[[[0,0],[90,0],[0,90],[0,0]]]}"#;
const EQUATOR: &str = r#"{"type":"LineString","coordinates":[[0,0],[1,0],[3,0]]}"#;

fn call(name: &str, args: &[Value]) -> Value {
    let types: Vec<Type> = args.iter().map(Value::ty).collect();
    let resolved = kyma_plan::functions::resolve_scalar(name, &types).unwrap();
    let convert = |(value, ty): (&Value, &Type)| Arg::Scalar(crate::convert::convert_value(value, *ty).unwrap());
    let args: Vec<Arg> = args.iter().zip(&resolved.args).map(convert).collect();
    let context = EvalContext { now: 0 };
    let call = Call { args: &args, types: &resolved.args, out: resolved.ty, rows: 1, context: &context };
    array_value(scalar(name).unwrap().eval(&call).unwrap().as_ref(), 0, resolved.ty)
}

fn r(value: f64) -> Value {
    Value::Real(value)
}

fn l(value: i64) -> Value {
    Value::Long(value)
}

fn s(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn d(json: &str) -> Value {
    Value::Dynamic(json.to_owned())
}

fn polygon(rings: &str) -> Value {
    d(&format!(r#"{{"type":"Polygon","coordinates":{rings}}}"#))
}

fn line(positions: &str) -> Value {
    d(&format!(r#"{{"type":"LineString","coordinates":{positions}}}"#))
}

#[track_caller]
fn check(name: &str, args: &[Value], expected: Value) {
    assert_eq!(call(name, args), expected, "{name}");
}

#[track_caller]
fn number(name: &str, args: &[Value], expected: f64) {
    match call(name, args) {
        Value::Real(found) if (found - expected).abs() <= 1e-9 * expected.abs().max(1.0) => {}
        found => panic!("{name}: {found:?} is not {expected}"),
    }
}

/// Same shape, numbers within a billionth.
fn near(found: &Json, expected: &Json) -> bool {
    match (found, expected) {
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| near(a, b)))
        }
        (Json::Number(a), Json::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9,
        _ => found == expected,
    }
}

#[track_caller]
fn shape(name: &str, args: &[Value], expected: &str) {
    let Value::Dynamic(found) = call(name, args) else { panic!("{name} gives nothing") };
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    assert!(near(&parsed(&found), &parsed(expected)), "{name}: {found} is not {expected}");
}

#[track_caller]
fn nothing(name: &str, args: &[Value]) {
    assert!(matches!(call(name, args), Value::Null(_)), "{name} gives something");
}

#[test]
fn points() {
    number("geo_distance_2points", &[r(0.0), r(0.0), r(1.0), r(0.0)], DEGREE);
    // A degree of the WGS84 equator is a 360th of the circle of 6 378 137 m.
    let on_spheroid = [r(0.0), r(0.0), r(1.0), r(0.0), Value::Bool(true)];
    number("geo_distance_2points", &on_spheroid, 6_378_137.0 * std::f64::consts::PI / 180.0);
    nothing("geo_distance_2points", &[r(180.5), r(0.0), r(1.0), r(0.0)]);
    number("geo_azimuth", &[r(0.0), r(0.0), r(5.0), r(0.0)], std::f64::consts::FRAC_PI_2);
    number("geo_azimuth", &[r(0.0), r(0.0), r(-5.0), r(0.0)], 3.0 * std::f64::consts::FRAC_PI_2);
    nothing("geo_azimuth", &[r(0.0), r(0.0), r(180.0), r(0.0)]);
    nothing("geo_azimuth", &[r(7.0), r(8.0), r(7.0), r(8.0)]);
    number("geo_angle", &[r(0.0), r(5.0), r(0.0), r(0.0), r(5.0), r(0.0)], std::f64::consts::FRAC_PI_2);
    check("geo_point_in_circle", &[r(0.0), r(0.0), r(1.0), r(0.0), r(DEGREE + 1.0)], Value::Bool(true));
    check("geo_point_in_circle", &[r(0.0), r(0.0), r(1.0), r(0.0), r(DEGREE - 1.0)], Value::Bool(false));
    nothing("geo_point_in_circle", &[r(0.0), r(0.0), r(1.0), r(0.0), r(-1.0)]);
}

#[test]
fn lines() {
    number("geo_line_length", &[d(EQUATOR)], 3.0 * DEGREE);
    let twice = r#"{"type":"MultiLineString","coordinates":[[[0,0],[1,0]],[[1,0],[0,0]],[[0,0],[1,0]]]}"#;
    number("geo_line_length", &[d(twice)], 2.0 * DEGREE);
    shape("geo_line_centroid", &[d(EQUATOR)], r#"{"type":"Point","coordinates":[1.5,0]}"#);
    shape("geo_line_interpolate_point", &[d(EQUATOR), r(0.5)], r#"{"type":"Point","coordinates":[1.5,0]}"#);
    nothing("geo_line_interpolate_point", &[d(EQUATOR), r(1.5)]);
    number("geo_line_locate_point", &[d(EQUATOR), r(1.5), r(2.0)], 0.5);
    let on_spheroid = [d(EQUATOR), r(1.5), r(2.0), Value::Bool(true)];
    match call("geo_line_locate_point", &on_spheroid) {
        Value::Real(fraction) => assert!((fraction - 0.5).abs() < 1e-7, "{fraction}"),
        found => panic!("{found:?}"),
    }
    number("geo_distance_point_to_line", &[r(2.0), r(1.0), d(EQUATOR)], DEGREE);
    shape("geo_closest_point_on_line", &[r(2.0), r(1.0), d(EQUATOR)], r#"{"type":"Point","coordinates":[2,0]}"#);
    for bad in ["[[1,1]]", "[]", "[[1,1],[1,1]]", "[[1,1],[200,1]]", "[[1,1],[2,\"x\"]]"] {
        nothing("geo_line_length", &[line(bad)]);
    }
    nothing("geo_line_length", &[d(OCTANT)]);
}

#[test]
fn polygons() {
    number("geo_polygon_area", &[d(OCTANT)], EARTH_METRES * EARTH_METRES * std::f64::consts::FRAC_PI_2);
    let clockwise = polygon("[[[0,0],[0,90],[90,0],[0,0]]]");
    number("geo_polygon_area", &[clockwise], EARTH_METRES * EARTH_METRES * std::f64::consts::FRAC_PI_2);
    number("geo_polygon_perimeter", &[d(OCTANT)], 270.0 * DEGREE);
    let middle = (1.0 / 3.0_f64.sqrt()).asin().to_degrees();
    let expected = format!(r#"{{"type":"Point","coordinates":[45,{middle}]}}"#);
    shape("geo_polygon_centroid", &[d(OCTANT)], &expected);
    let overlapping =
        r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[90,0],[0,90],[0,0]]],[[[10,10],[20,10],[10,20],[10,10]]]]}"#;
    number("geo_polygon_perimeter", &[d(overlapping)], 270.0 * DEGREE);
    check("geo_point_in_polygon", &[r(45.0), r(10.0), d(OCTANT)], Value::Bool(true));
    check("geo_point_in_polygon", &[r(-1.0), r(10.0), d(OCTANT)], Value::Bool(false));
    let holed = polygon("[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[4,6],[6,6],[6,4],[4,4]]]");
    check("geo_point_in_polygon", &[r(5.0), r(5.0), holed.clone()], Value::Bool(false));
    check("geo_point_in_polygon", &[r(2.0), r(5.0), holed.clone()], Value::Bool(true));
    number("geo_distance_point_to_polygon", &[r(45.0), r(-1.0), d(OCTANT)], DEGREE);
    number("geo_distance_point_to_polygon", &[r(45.0), r(1.0), d(OCTANT)], 0.0);
    let below = r#"{"type":"Point","coordinates":[45,0]}"#;
    shape("geo_closest_point_on_polygon", &[r(45.0), r(-1.0), d(OCTANT)], below);
    for bad in [
        "[]",
        "[[]]",
        "[[[0,0],[1,0],[0,1]]]",
        "[[[0,0],[1,0],[0,0]]]",
        "[[[0,0],[1,0],[1,0],[0,0]]]",
        "[[[0,0],[2,0],[0,2],[2,2],[0,0]]]",
        "[[[0,0],[1,0],[0,91],[0,0]]]",
    ] {
        nothing("geo_polygon_area", &[polygon(bad)]);
    }
}

#[test]
fn unions_and_intersections() {
    let (left, right) = (polygon("[[[0,0],[2,0],[0,2],[0,0]]]"), polygon("[[[2,0],[4,0],[4,2],[2,0]]]"));
    let touch = r#"{"type":"Point","coordinates":[2,0]}"#;
    shape("geo_intersection_2polygons", &[left.clone(), right.clone()], touch);
    check("geo_intersects_2polygons", &[left.clone(), right.clone()], Value::Bool(true));
    let far = polygon("[[[20,0],[40,0],[40,2],[20,0]]]");
    shape(
        "geo_intersection_2polygons",
        &[left.clone(), far.clone()],
        r#"{"type":"GeometryCollection","geometries":[]}"#,
    );
    check("geo_intersects_2polygons", &[left.clone(), far], Value::Bool(false));
    let (up, along) = (line("[[1,-1],[1,1]]"), line("[[0,0],[3,0]]"));
    shape("geo_intersection_2lines", &[up.clone(), along.clone()], r#"{"type":"Point","coordinates":[1,0]}"#);
    check("geo_intersects_2lines", &[up.clone(), along.clone()], Value::Bool(true));
    check("geo_intersects_line_with_polygon", &[up.clone(), left.clone()], Value::Bool(true));
    let inside = r#"{"type":"LineString","coordinates":[[1,0],[1,0.99]]}"#;
    let cut = line("[[1,-1],[1,0.99]]");
    shape("geo_intersection_line_with_polygon", &[cut, left.clone()], inside);
    let both = |a: &Value, b: &Value| match (a, b) {
        (Value::Dynamic(a), Value::Dynamic(b)) => d(&format!("[{a},{b}]")),
        _ => panic!("no shapes"),
    };
    let joined = r#"{"type":"LineString","coordinates":[[0,0],[1,0],[2,0]]}"#;
    shape("geo_union_lines_array", &[both(&line("[[0,0],[1,0]]"), &line("[[1,0],[2,0]]"))], joined);
    let Value::Dynamic(area) = call("geo_union_polygons_array", &[both(&left, &right)]) else { panic!("no union") };
    assert!(area.starts_with(r#"{"type":"MultiPolygon""#), "{area}");
    nothing("geo_union_polygons_array", &[both(&left, &up)]);
}

#[test]
fn shapes_made_of_shapes() {
    // Around a point every vertex is at the radius.
    let Value::Dynamic(disc) = call("geo_point_buffer", &[r(10.0), r(50.0), r(1000.0)]) else { panic!("no disc") };
    let Some(Geometry::Polygon(rings)) = Geometry::parse(&disc) else { panic!("{disc}") };
    for at in &rings[0] {
        let distance = super::point::spherical(*at, [10.0, 50.0]);
        assert!((990.0..=1010.0).contains(&distance), "{distance}");
    }
    nothing("geo_point_buffer", &[r(10.0), r(50.0), r(0.0)]);
    // So is the border along an edge, within the tolerance.
    let Value::Dynamic(band) = call("geo_line_buffer", &[d(EQUATOR), r(1000.0)]) else { panic!("no band") };
    match call("geo_distance_point_to_polygon", &[r(2.0), r(1.0), d(&band)]) {
        Value::Real(distance) => assert!((distance - (DEGREE - 1000.0)).abs() < 10.0, "{distance}"),
        found => panic!("{found:?}"),
    }
    let Value::Dynamic(grown) = call("geo_polygon_buffer", &[d(OCTANT), r(1000.0)]) else { panic!("no area") };
    check("geo_point_in_polygon", &[r(45.0), r(-0.005), d(&grown)], Value::Bool(true));
    check("geo_point_in_polygon", &[r(45.0), r(-0.05), d(&grown)], Value::Bool(false));

    shape("geo_line_simplify", &[d(EQUATOR)], r#"{"type":"LineString","coordinates":[[0,0],[3,0]]}"#);
    nothing("geo_line_simplify", &[d(EQUATOR), r(400_000.0)]);
    nothing("geo_line_simplify", &[d(EQUATOR), r(-1.0)]);
    let bent = polygon("[[[0,0],[1,0.00001],[2,0],[2,2],[0,0]]]");
    let straight = r#"{"type":"Polygon","coordinates":[[[0,0],[2,0],[2,2],[0,0]]]}"#;
    let Value::Dynamic(one) = bent else { panic!("no polygon") };
    shape("geo_polygon_simplify", &[d(&one)], straight);
    shape("geo_simplify_polygons_array", &[d(&format!("[{one}]"))], straight);

    shape("geo_line_densify", &[d(EQUATOR)], r#"{"type":"LineString","coordinates":[[0,0],[1,0],[3,0]]}"#);
    let across = call("geo_line_densify", &[line("[[179,0],[-179,0]]"), r(10.0), Value::Bool(true)]);
    assert!(matches!(&across, Value::Dynamic(text) if text.starts_with(r#"{"type":"LineString""#)), "{across:?}");
    let cut = call("geo_line_densify", &[line("[[179,0],[181,0]]")]);
    assert!(matches!(&cut, Value::Dynamic(text) if text.starts_with(r#"{"type":"MultiLineString""#)), "{cut:?}");
    let cut = call("geo_polygon_densify", &[polygon("[[[179,0],[181,0],[181,1],[179,1],[179,0]]]")]);
    assert!(matches!(&cut, Value::Dynamic(text) if text.starts_with(r#"{"type":"MultiPolygon""#)), "{cut:?}");
    nothing("geo_line_densify", &[d(EQUATOR), r(0.0)]);
}

#[test]
fn cells() {
    // Face 0 of S2 is around (0, 0); its first child at level 1 is in the south west.
    check("geo_point_to_s2cell", &[r(-10.0), r(-10.0), l(0)], s("1"));
    check("geo_point_to_s2cell", &[r(-10.0), r(-10.0), l(31)], s(""));
    shape("geo_s2cell_to_central_point", &[s("1")], r#"{"type":"Point","coordinates":[0,0]}"#);
    let corner = (1.0 / 3.0_f64.sqrt()).asin().to_degrees();
    let (south, north) = (-corner, corner);
    let ring = format!("[[-45,{south}],[45,{south}],[45,{north}],[-45,{north}],[-45,{south}]]");
    shape("geo_s2cell_to_polygon", &[s("1")], &format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#));
    nothing("geo_s2cell_to_polygon", &[s("x")]);
    // A polygon that ends on the border of two cells meets both.
    let Value::Dynamic(met) = call("geo_polygon_to_s2cells", &[polygon("[[[0,0],[10,0],[10,10],[0,10],[0,0]]]"), l(1)])
    else {
        panic!("no cells")
    };
    assert_eq!(serde_json::from_str::<Vec<String>>(&met).unwrap(), ["04", "0c", "14", "1c"]);
    nothing("geo_polygon_to_s2cells", &[d(OCTANT), l(30)]);
    nothing("geo_line_to_s2cells", &[d(EQUATOR), l(3), r(-1.0)]);

    let Value::String(token) = call("geo_point_to_h3cell", &[r(8.5), r(47.4), l(5)]) else { panic!("no cell") };
    check("geo_h3cell_level", &[s(&token)], Value::Int(5));
    let Value::String(parent) = call("geo_h3cell_parent", &[s(&token)]) else { panic!("no parent") };
    let Value::Dynamic(children) = call("geo_h3cell_children", &[s(&parent)]) else { panic!("no children") };
    let children: Vec<String> = serde_json::from_str(&children).unwrap();
    assert!(children.contains(&token) && children.len() == 7, "{children:?}");
    let Value::Dynamic(rings) = call("geo_h3cell_rings", &[s(&token), l(2)]) else { panic!("no rings") };
    let sizes: Vec<usize> = serde_json::from_str::<Vec<Vec<String>>>(&rings).unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 6, 12]);
    nothing("geo_h3cell_rings", &[s(&token), l(143)]);
    nothing("geo_h3cell_children", &[s(&token), l(11)]);
    check("geo_h3cell_parent", &[s(&token), l(6)], s(""));
    nothing("geo_h3cell_level", &[s("+5")]);

    let Value::Dynamic(around) = call("geo_geohash_neighbors", &[s("s0")]) else { panic!("no neighbours") };
    let mut around: Vec<String> = serde_json::from_str(&around).unwrap();
    around.sort();
    assert_eq!(around, ["7z", "eb", "ec", "kp", "kr", "s1", "s2", "s3"]);
    // At the pole there is no row to the north.
    let Value::Dynamic(around) = call("geo_geohash_neighbors", &[s("zz")]) else { panic!("no neighbours") };
    assert_eq!(serde_json::from_str::<Vec<String>>(&around).unwrap().len(), 5);
}

#[test]
fn well_known_text() {
    shape("geo_from_wkt", &[s("point(1 -2.5)")], r#"{"type":"Point","coordinates":[1,-2.5]}"#);
    shape("geo_from_wkt", &[s("MULTIPOINT ((1 2), (3 4))")], r#"{"type":"MultiPoint","coordinates":[[1,2],[3,4]]}"#);
    for bad in
        ["", "POINT", "POINT (1)", "POINT (1 2", "POINT (1 2) x", "LINESTRING ()", "CIRCLE (1 2)", "POINT (1e999 2)"]
    {
        nothing("geo_from_wkt", &[s(bad)]);
    }
    let deep = "GEOMETRYCOLLECTION (".repeat(10_000);
    nothing("geo_from_wkt", &[s(&deep)]);
}

#[test]
fn an_address_has_no_known_place() {
    nothing("geo_info_from_ip_address", &[s("20.53.203.50")]);
}

#[test]
fn listed_as_by_a_hash_set() {
    // Seven entries go to seven buckets; entries of one bucket stand together, later ones first.
    let tokens = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let listed = order::as_listed(tokens("a b c d e f g a"));
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, tokens("a b c d e f g"));
    assert_eq!(order::as_listed(tokens("a")), tokens("a"));
}

fn position() -> impl Strategy<Value = [f64; 2]> {
    [-30.0..30.0_f64, -30.0..30.0_f64]
}

/// A polygon around (0, 0) with vertices at growing directions.
fn star() -> impl Strategy<Value = Vec<[f64; 2]>> {
    prop::collection::vec(5.0..25.0_f64, 5..60).prop_map(|radii| {
        let count = radii.len() as f64;
        let vertex = |(index, radius): (usize, &f64)| {
            let turn = index as f64 / count * std::f64::consts::TAU;
            [radius * turn.cos(), radius * turn.sin()]
        };
        let mut ring: Vec<[f64; 2]> = radii.iter().enumerate().map(vertex).collect();
        ring.push(ring[0]);
        ring
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The cells that cover a polygon hold every point in it.
    #[test]
    fn coverings_miss_no_point(ring in star(), points in prop::collection::vec(position(), 20)) {
        let shape = Value::Dynamic(Geometry::Polygon(vec![ring]).to_json());
        let Value::Dynamic(cells) = call("geo_polygon_to_s2cells", &[shape.clone(), l(4)]) else { panic!("no cells") };
        let cells: Vec<String> = serde_json::from_str(&cells).unwrap();
        for [x, y] in points {
            if call("geo_point_in_polygon", &[r(x), r(y), shape.clone()]) == Value::Bool(true) {
                let Value::String(cell) = call("geo_point_to_s2cell", &[r(x), r(y), l(4)]) else { panic!("no cell") };
                prop_assert!(cells.contains(&cell), "{x} {y}");
            }
        }
    }

    /// A star is made of the triangles between its middle and its edges.
    #[test]
    fn containment_is_that_of_the_triangles(ring in star(), points in prop::collection::vec(position(), 20)) {
        let shape = Value::Dynamic(Geometry::Polygon(vec![ring.clone()]).to_json());
        let vector = |at: [f64; 2]| super::sphere::point(at).0;
        let left_of = |from, to, at| vector(from).cross(vector(to)).dot(vector(at)) > 0.0;
        for at in points {
            let in_triangle = |edge: &[[f64; 2]]| {
                let (middle, a, b) = ([0.0, 0.0], edge[0], edge[1]);
                left_of(middle, a, at) && left_of(a, b, at) && left_of(b, middle, at)
            };
            let expected = ring.windows(2).any(in_triangle);
            let found = call("geo_point_in_polygon", &[r(at[0]), r(at[1]), shape.clone()]);
            prop_assert_eq!(found, Value::Bool(expected));
        }
    }

    /// Filling by searching inwards from the border finds the cells that trying all of them finds.
    #[test]
    fn fillings_are_the_cells_inside(ring in star()) {
        let shape = Value::Dynamic(Geometry::Polygon(vec![ring.clone()]).to_json());
        let Value::Dynamic(cells) = call("geo_polygon_to_h3cells", &[shape, l(2)]) else { panic!("no cells") };
        let mut cells: Vec<String> = serde_json::from_str(&cells).unwrap();
        cells.sort();
        let center = h3o::LatLng::new(0.0, 0.0).unwrap().to_cell(h3o::Resolution::Two);
        let inside = |cell: &h3o::CellIndex| {
            let at = h3o::LatLng::from(*cell);
            let crossed = ring.windows(2).filter(|edge| {
                let ([x1, y1], [x2, y2]) = (edge[0], edge[1]);
                (y1 > at.lat()) != (y2 > at.lat()) && at.lng() < x1 + (at.lat() - y1) / (y2 - y1) * (x2 - x1)
            });
            crossed.count() % 2 == 1
        };
        let around: Vec<h3o::CellIndex> = center.grid_disk(20);
        let mut expected: Vec<String> = around.iter().filter(|cell| inside(cell)).map(ToString::to_string).collect();
        expected.sort();
        prop_assert_eq!(cells, expected);
    }

    /// The distance to a line is the least of those to its points.
    #[test]
    fn distances_are_the_least(from in position(), to in position(), at in position()) {
        prop_assume!(super::point::spherical(from, to) > 1000.0);
        let line = Value::Dynamic(Geometry::LineString(vec![from, to]).to_json());
        let Value::Real(distance) = call("geo_distance_point_to_line", &[r(at[0]), r(at[1]), line.clone()]) else {
            panic!("no distance")
        };
        let mut least = f64::INFINITY;
        for step in 0..=1000 {
            let point = call("geo_line_interpolate_point", &[line.clone(), r(f64::from(step) / 1000.0)]);
            let Value::Dynamic(point) = point else { panic!("no point") };
            let Some(Geometry::Point(point)) = Geometry::parse(&point) else { panic!("{point}") };
            least = least.min(super::point::spherical(point, at));
        }
        prop_assert!(distance <= least + 1e-3, "{distance} {least}");
        prop_assert!(distance >= least - super::point::spherical(from, to) / 1000.0, "{distance} {least}");
    }

    /// The area of two polygons together and of what they share add up.
    #[test]
    fn areas_add_up(a in star(), b in star()) {
        let (a, b) = (Geometry::Polygon(vec![a]).to_json(), Geometry::Polygon(vec![b]).to_json());
        let area = |shape: Value| match shape {
            Value::Dynamic(text) if text.contains("Polygon") => match call("geo_polygon_area", &[d(&text)]) {
                Value::Real(area) => area,
                other => panic!("{other:?} of {text}"),
            },
            other => panic!("no polygon: {other:?}"),
        };
        let both = area(call("geo_union_polygons_array", &[d(&format!("[{a},{b}]"))]));
        let shared = area(call("geo_intersection_2polygons", &[d(&a), d(&b)]));
        let sum = area(d(&a)) + area(d(&b));
        prop_assert!((both + shared - sum).abs() < sum * 1e-9, "{both} + {shared} is not {sum}");
    }

    /// Any text is a shape or none.
    #[test]
    fn no_input_panics(
        kind in "Point|LineString|MultiLineString|Polygon|MultiPolygon|Other",
        positions in prop::collection::vec([-200.0..200.0_f64, -100.0..100.0_f64], 0..8),
        nesting in 0_usize..4,
        numbers in [-1e7..1e7_f64, -1e7..1e7_f64],
    ) {
        let list = serde_json::to_string(&positions).unwrap();
        let coordinates = format!("{}{list}{}", "[".repeat(nesting), "]".repeat(nesting));
        let shape = d(&format!(r#"{{"type":"{kind}","coordinates":{coordinates}}}"#));
        for function in kyma_plan::functions::scalars().filter(|function| function.name.starts_with("geo_")) {
            let arg = |index: usize| {
                let class = function.params.get(index).or(function.params.last()).copied();
                match class {
                    Some(kyma_plan::functions::Class::Dynamic) => shape.clone(),
                    Some(kyma_plan::functions::Class::Text) => s(&list),
                    Some(kyma_plan::functions::Class::Bool) => Value::Bool(nesting == 0),
                    Some(kyma_plan::functions::Class::Long) => l(nesting as i64),
                    _ => r(numbers[index % 2] / if index < 2 { 1e5 } else { 1.0 }),
                }
            };
            for count in function.min_args..=function.max_args {
                call(function.name, &(0..count).map(arg).collect::<Vec<_>>());
            }
        }
    }
}
