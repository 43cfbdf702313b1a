//! Functions that give several columns where a column is given: `project series_stats(x)`, `extend (a, b) = series_fit_line(x)`.
//!
//! Inside an expression they are the one value (an array or a bag) that the columns are taken from.

use kyma_core::error::Span;
use kyma_core::{Type, Value};
use kyma_plan::{Expr, ExprKind};

use super::expr::resolved;
use super::naming::name_of;
use super::operators::Columns;
use super::{Bind, Binder, Row};
use crate::ast::{self, Arg};

/// The members of a function's bag, in the order of its columns.
struct Several {
    name: &'static str,
    /// The function that gives the bag.
    bag: &'static str,
    members: &'static [(&'static str, Type)],
}

/// A member of a bag inside the bag is written with a point.
static SEVERAL: [Several; 11] = [
    Several {
        name: "series_stats",
        bag: "series_stats_dynamic",
        members: &[
            ("min", Type::Real),
            ("min_idx", Type::Long),
            ("max", Type::Real),
            ("max_idx", Type::Long),
            ("avg", Type::Real),
            ("stdev", Type::Real),
            ("variance", Type::Real),
        ],
    },
    Several {
        name: "series_fit_line",
        bag: "series_fit_line_dynamic",
        members: &[
            ("rsquare", Type::Real),
            ("slope", Type::Real),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("interception", Type::Real),
            ("line_fit", Type::Dynamic),
        ],
    },
    Several {
        name: "series_fit_2lines",
        bag: "series_fit_2lines_dynamic",
        members: &[
            ("rsquare", Type::Real),
            ("split_idx", Type::Long),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("line_fit", Type::Dynamic),
            ("right.rsquare", Type::Real),
            ("right.slope", Type::Real),
            ("right.interception", Type::Real),
            ("right.variance", Type::Real),
            ("right.rvariance", Type::Real),
            ("left.rsquare", Type::Real),
            ("left.slope", Type::Real),
            ("left.interception", Type::Real),
            ("left.variance", Type::Real),
            ("left.rvariance", Type::Real),
        ],
    },
    Several {
        name: "series_fit_poly",
        bag: "series_fit_poly",
        members: &[
            ("rsquare", Type::Real),
            ("coefficients", Type::Dynamic),
            ("variance", Type::Real),
            ("rvariance", Type::Real),
            ("poly_fit", Type::Dynamic),
        ],
    },
    Several {
        name: "series_decompose",
        bag: "series_decompose",
        members: &[
            ("baseline", Type::Dynamic),
            ("seasonal", Type::Dynamic),
            ("trend", Type::Dynamic),
            ("residual", Type::Dynamic),
        ],
    },
    Several {
        name: "series_decompose_anomalies",
        bag: "series_decompose_anomalies",
        members: &[("ad_flag", Type::Dynamic), ("ad_score", Type::Dynamic), ("baseline", Type::Dynamic)],
    },
    Several {
        name: "series_decompose_forecast",
        bag: "series_decompose_forecast",
        members: &[
            ("forecast", Type::Dynamic),
            ("seasonal", Type::Dynamic),
            ("trend", Type::Dynamic),
            ("residual", Type::Dynamic),
        ],
    },
    Several { name: "series_fft", bag: "series_fft", members: &[("real", Type::Dynamic), ("imag", Type::Dynamic)] },
    Several { name: "series_ifft", bag: "series_ifft", members: &[("real", Type::Dynamic), ("imag", Type::Dynamic)] },
    Several {
        name: "series_periods_detect",
        bag: "series_periods_detect",
        members: &[("periods", Type::Dynamic), ("scores", Type::Dynamic)],
    },
    Several {
        name: "series_periods_validate",
        bag: "series_periods_validate",
        members: &[("periods", Type::Dynamic), ("scores", Type::Dynamic)],
    },
];

/// The bag that a function of several columns takes them from.
pub(super) fn bag_of(name: &str) -> Option<&'static str> {
    SEVERAL.iter().find(|several| several.name == name).map(|several| several.bag)
}

impl Binder<'_> {
    /// The columns of an argument of `project`, `extend` or `print` that gives several, with the names they have when
    /// the query names none of them; `None` for other arguments.
    pub(super) fn several(&mut self, arg: &Arg, row: &mut Row) -> Bind<Option<Columns>> {
        let ast::ExprKind::Call(call) = &arg.value.kind else { return Ok(None) };
        if call.base.is_some() || self.lookup(&call.name.text, row.scope).is_some() {
            return Ok(None);
        }
        let span = arg.value.span;
        let name = call.name.text.as_str();
        let columns: Columns = match SEVERAL.iter().find(|several| several.name == name) {
            Some(several) => {
                let args = self.args(&call.args, row)?;
                let bag = resolved(several.bag, args, span)?;
                let of = call.args.first().and_then(|arg| name_of(&arg.value, &row.schema)).unwrap_or_default();
                let member = |(key, ty): &(&str, Type)| {
                    (format!("{name}_{of}_{}", key.replace('.', "_")), member(&bag, key, *ty, span))
                };
                several.members.iter().map(member).collect()
            }
            None if matches!(name, "array_sort_asc" | "array_sort_desc") => {
                let args = self.args(&call.args, row)?;
                let arrays = args.iter().filter(|arg| arg.ty != Type::Bool).count();
                if arrays < 2 {
                    return Ok(None);
                }
                let sorted = resolved(name, args, span)?;
                let named = |at: usize| call.args.get(at).and_then(|arg| name_of(&arg.value, &row.schema));
                let columns = (0..arrays)
                    .map(|at| (format!("{}_sorted", named(at).unwrap_or_default()), element(&sorted, at, span)));
                columns.collect()
            }
            None => return Ok(None),
        };
        let given = arg.names.iter().map(|name| Some(name.text.clone())).chain(std::iter::repeat(None));
        let columns = columns.into_iter().zip(given).map(|((name, expr), given)| (given.unwrap_or(name), expr));
        // Names in brackets say how many columns are wanted.
        let wanted = if arg.tuple { arg.names.len() } else { usize::MAX };
        Ok(Some(columns.take(wanted).collect()))
    }
}

fn member(bag: &Expr, key: &str, ty: Type, span: Span) -> Expr {
    let kind = ExprKind::Path { base: Box::new(bag.clone()), keys: key.split('.').map(str::to_owned).collect() };
    super::fold::convert(Expr { kind, ty: Type::Dynamic, span }, ty)
}

fn element(array: &Expr, at: usize, span: Span) -> Expr {
    let index = Box::new(Expr::literal(Value::Long(at as i64), span));
    Expr { kind: ExprKind::Element { base: Box::new(array.clone()), index }, ty: Type::Dynamic, span }
}
