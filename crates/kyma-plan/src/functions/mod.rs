//! Signatures of every built-in: what frontends check against, what completion and docs are made from, and what
//! `kyma-functions` must have a kernel for (a test there compares the two).
//!
//! One file per family adds its rows to a table; [`resolve_scalar`], [`resolve_aggregate`] and [`resolve_window`] look
//! names up (without case, aliases included), check counts and types, and say which conversions the arguments need.

mod aggregate;
mod planning;
mod scalar;
mod window;

use std::collections::HashMap;
use std::sync::LazyLock;

use kyma_core::Type;

/// What an argument may be. A `dynamic` argument is accepted wherever a scalar is wanted, by conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Any type, as it is.
    Any,
    /// A `string`; every other type is converted by `tostring`.
    Text,
    /// A `string` (or a dynamic, converted).
    String,
    /// `bool` (or a dynamic or number, converted).
    Bool,
    /// `int` or `long`, as it is; a dynamic or truth value becomes `long`.
    Integral,
    /// `long`; `int`, truth values and dynamic are converted, `real` is refused.
    Long,
    /// Any number, as it is; a dynamic becomes `real`, a truth value `long`.
    Number,
    /// `real`; other numbers, truth values and dynamics are converted.
    Real,
    /// `datetime`; a string or dynamic is converted.
    Datetime,
    /// `timespan`; a dynamic is converted.
    Timespan,
    /// Numbers, datetime or timespan, as they are; a dynamic becomes `real`, a truth value `long`.
    Summable,
    /// `dynamic`; other types are refused.
    Dynamic,
    /// `dynamic`; other types become a dynamic that holds them.
    ToDynamic,
    /// `guid`.
    Guid,
}

/// The type of a result.
#[derive(Debug, Clone, Copy)]
pub enum Returns {
    /// Always this.
    Is(Type),
    /// The type of the argument at this place, after conversion.
    Arg(usize),
    /// The common type of the arguments from this place on, to which they are converted (`iff`, `coalesce`, `max_of`).
    CommonFrom(usize),
    /// As `CommonFrom`, but a dynamic among scalars is converted to them (`iff(c, d.x, "")` is a string).
    CommonValueFrom(usize),
    /// As `CommonValueFrom`, over the values of `case(predicate, value, ..., value)`; predicates become `bool`.
    CommonOfCase,
    /// By a rule over the arguments' types (before conversion where `Any`).
    Rule(fn(&[Type]) -> Type),
}

/// How a result column is named when the query does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `Column1`, `Column2`, ... (`print_0`, ... in `print`).
    Numbered,
    /// The name of the first argument, where that is a column: `bin(t, 1h)` is `t`.
    FirstArgument,
    /// `prefix_` and the name of the first argument: `sum_x`; just `prefix_` without one: `count_`.
    Prefixed(&'static str),
    /// `prefix` and nothing else.
    Fixed(&'static str),
}

/// A built-in function. Which sort it is, is said by the table that it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Canonical name, lower case.
    pub name: &'static str,
    /// Other names, lower case.
    pub aliases: &'static [&'static str],
    /// Classes of the arguments; the last one repeats when `max_args` is larger.
    pub params: &'static [Class],
    /// Fewest arguments.
    pub min_args: usize,
    /// Most arguments.
    pub max_args: usize,
    /// The result's type (the first one where an aggregate has several).
    pub returns: Returns,
    /// The result column's name.
    pub naming: Naming,
    /// One sentence.
    pub doc: &'static str,
    /// What a null argument does.
    pub nulls: Nulls,
    /// A query that shows it, for docs and completion; a test runs it. Empty until one is given.
    pub example: &'static str,
}

/// What a null argument does to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// A null argument gives a null (an aggregate skips it).
    Propagate,
    /// The function looks at nulls itself, as its sentence says: `isnull`, `coalesce`, `iff`.
    Own,
}

impl Function {
    /// Says that the function looks at nulls itself.
    pub(crate) const fn own_nulls(self) -> Function {
        Function { nulls: Nulls::Own, ..self }
    }

    /// Gives the query that shows it.
    pub(crate) const fn example(self, example: &'static str) -> Function {
        Function { example, ..self }
    }
}

/// A scalar or window function.
pub type ScalarFunction = Function;

/// An aggregate function.
pub type AggregateFunction = Function;

/// A function found, with the types its arguments must be converted to.
#[derive(Debug, Clone)]
pub struct Resolved<F: 'static> {
    /// The function.
    pub function: &'static F,
    /// The type each argument must have.
    pub args: Vec<Type>,
    /// The result's type.
    pub ty: Type,
}

/// Why a call is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// No such function; the nearest name, if one is near.
    Unknown {
        /// A name that is spelled much like it.
        near: Option<&'static str>,
    },
    /// The number of arguments.
    Count {
        /// Fewest.
        min: usize,
        /// Most (`usize::MAX`: any number).
        max: usize,
    },
    /// The type of an argument.
    Argument {
        /// Which, from 0.
        index: usize,
        /// What is wanted.
        wanted: Class,
        /// What was given.
        given: Type,
    },
    /// The arguments have no common type.
    NoCommonType {
        /// Which argument does not fit, from 0.
        index: usize,
        /// Its type.
        given: Type,
        /// The type of those before it.
        others: Type,
    },
}

type Index = HashMap<&'static str, &'static Function>;

static SCALARS: LazyLock<Index> = LazyLock::new(|| index(scalar::TABLES.iter().flat_map(|table| table.iter())));
static WINDOWS: LazyLock<Index> = LazyLock::new(|| index(window::TABLE.iter()));
static AGGREGATES: LazyLock<Index> = LazyLock::new(|| index(aggregates()));

/// Functions by each of their names.
fn index(functions: impl Iterator<Item = &'static Function>) -> Index {
    let names = |function: &'static Function| {
        std::iter::once(function.name).chain(function.aliases.iter().copied()).map(move |name| (name, function))
    };
    functions.flat_map(names).collect()
}

/// Every scalar function, in table order.
pub fn scalars() -> impl Iterator<Item = &'static ScalarFunction> {
    scalar::TABLES.iter().flat_map(|table| table.iter())
}

/// Every aggregate function, in table order.
pub fn aggregates() -> impl Iterator<Item = &'static AggregateFunction> {
    aggregate::TABLES.iter().flat_map(|table| table.iter())
}

/// Every window function, in table order.
pub fn windows() -> impl Iterator<Item = &'static ScalarFunction> {
    window::TABLE.iter()
}

/// Every function that planning resolves, in table order: none of them has a kernel.
pub fn planned() -> impl Iterator<Item = &'static ScalarFunction> {
    planning::TABLE.iter()
}

/// The scalar function called `name`, in any case.
pub fn scalar(name: &str) -> Option<&'static ScalarFunction> {
    find(&SCALARS, name)
}

/// The aggregate function called `name`, in any case.
pub fn aggregate(name: &str) -> Option<&'static AggregateFunction> {
    find(&AGGREGATES, name)
}

/// The window function called `name`, in any case.
pub fn window(name: &str) -> Option<&'static ScalarFunction> {
    find(&WINDOWS, name)
}

/// Checks a call of a scalar function.
pub fn resolve_scalar(name: &str, args: &[Type]) -> Result<Resolved<ScalarFunction>, CallError> {
    resolve_in(&SCALARS, name, args)
}

/// Checks a call of an aggregate function.
pub fn resolve_aggregate(name: &str, args: &[Type]) -> Result<Resolved<AggregateFunction>, CallError> {
    resolve_in(&AGGREGATES, name, args)
}

/// Checks a call of a window function.
pub fn resolve_window(name: &str, args: &[Type]) -> Result<Resolved<ScalarFunction>, CallError> {
    resolve_in(&WINDOWS, name, args)
}

fn find(index: &Index, name: &str) -> Option<&'static Function> {
    index.get(name.to_ascii_lowercase().as_str()).copied()
}

fn resolve_in(index: &Index, name: &str, args: &[Type]) -> Result<Resolved<Function>, CallError> {
    let function =
        find(index, name).ok_or_else(|| CallError::Unknown { near: nearest(name, index.keys().copied()) })?;
    let (args, ty) = resolve(function.params, (function.min_args, function.max_args), function.returns, args)?;
    Ok(Resolved { function, args, ty })
}

fn resolve(
    params: &[Class],
    (min, max): (usize, usize),
    returns: Returns,
    given: &[Type],
) -> Result<(Vec<Type>, Type), CallError> {
    if given.len() < min || given.len() > max {
        return Err(CallError::Count { min, max });
    }
    let class_of = |index: usize| params.get(index).or(params.last()).copied().unwrap_or(Class::Any);
    let mut args = Vec::with_capacity(given.len());
    for (index, &ty) in given.iter().enumerate() {
        let wanted = class_of(index);
        args.push(wanted.accept(ty).ok_or(CallError::Argument { index, wanted, given: ty })?);
    }
    let ty = match returns {
        Returns::Is(ty) => ty,
        Returns::Arg(index) => args.get(index).copied().unwrap_or(Type::Dynamic),
        Returns::Rule(rule) => rule(&args),
        Returns::CommonFrom(from) => {
            let common = common_of(&args, from)?;
            args.iter_mut().skip(from).for_each(|arg| *arg = common);
            common
        }
        Returns::CommonValueFrom(from) => unify(&mut args, |index| index >= from)?,
        Returns::CommonOfCase => {
            let last = given.len().saturating_sub(1);
            let is_value = |index: usize| index % 2 == 1 || index == last;
            if let Some(index) = (0..last).find(|&index| !is_value(index) && Class::Bool.accept(args[index]).is_none())
            {
                return Err(CallError::Argument { index, wanted: Class::Bool, given: args[index] });
            }
            (0..last).filter(|&index| !is_value(index)).for_each(|index| args[index] = Type::Bool);
            unify(&mut args, is_value)?
        }
    };
    Ok((args, ty))
}

/// Gives the arguments at the chosen places their common type; dynamics follow the scalars.
fn unify(args: &mut [Type], chosen: impl Fn(usize) -> bool) -> Result<Type, CallError> {
    let mut common: Option<Type> = None;
    for (index, &given) in args.iter().enumerate().filter(|(index, _)| chosen(*index)) {
        common = Some(match common {
            None | Some(Type::Dynamic) => given,
            Some(others) if given == Type::Dynamic => others,
            Some(others) => common_type(others, given).ok_or(CallError::NoCommonType { index, given, others })?,
        });
    }
    let common = common.unwrap_or(Type::Dynamic);
    args.iter_mut().enumerate().filter(|(index, _)| chosen(*index)).for_each(|(_, arg)| *arg = common);
    Ok(common)
}

fn common_of(args: &[Type], from: usize) -> Result<Type, CallError> {
    let mut rest = args.iter().copied().enumerate().skip(from);
    let Some((_, first)) = rest.next() else { return Ok(Type::Dynamic) };
    rest.try_fold(first, |common, (index, ty)| {
        common_type(common, ty).ok_or(CallError::NoCommonType { index, given: ty, others: common })
    })
}

/// The type to which values of both types are converted to be compared or chosen between; `None` when there is none.
pub fn common_type(a: Type, b: Type) -> Option<Type> {
    use Type::{Decimal, Dynamic, Int, Long, Real};
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Int, Long) | (Long, Int) => Long,
        (Int | Long, Real) | (Real, Int | Long) => Real,
        (Int | Long | Real, Decimal) | (Decimal, Int | Long | Real) => Decimal,
        (Dynamic, _) | (_, Dynamic) => Dynamic,
        _ => return None,
    })
}

impl Class {
    /// The type that an argument of type `given` must be converted to; `None` when it is refused.
    pub fn accept(self, given: Type) -> Option<Type> {
        use Type::{Bool, Datetime, Dynamic, Guid, Int, Long, Real, String, Timespan};
        match self {
            Class::Any => Some(given),
            Class::Text => Some(String),
            Class::String => matches!(given, String | Dynamic).then_some(String),
            Class::Bool => (matches!(given, Bool | Dynamic) || given.is_numeric()).then_some(Bool),
            Class::Integral => match given {
                Int | Long => Some(given),
                Dynamic | Bool => Some(Long),
                _ => None,
            },
            Class::Long => matches!(given, Int | Long | Dynamic | Bool).then_some(Long),
            Class::Number => match given {
                Dynamic => Some(Real),
                Bool => Some(Long),
                _ => given.is_numeric().then_some(given),
            },
            Class::Real => (given.is_numeric() || matches!(given, Dynamic | Bool)).then_some(Real),
            Class::Datetime => matches!(given, Datetime | String | Dynamic).then_some(Datetime),
            Class::Timespan => matches!(given, Timespan | Dynamic).then_some(Timespan),
            Class::Summable => match given {
                Dynamic => Some(Real),
                Bool => Some(Long),
                Datetime | Timespan => Some(given),
                _ => given.is_numeric().then_some(given),
            },
            Class::Dynamic => (given == Dynamic).then_some(Dynamic),
            Class::ToDynamic => Some(Dynamic),
            Class::Guid => matches!(given, Guid | String | Dynamic).then_some(Guid),
        }
    }
}

/// The candidate most like `name`, when it is at most a third of the letters away.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let limit = (name.chars().count() / 3).max(1);
    let near = candidates.map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance (Damerau 1964, without overlapping transpositions).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(nearest("tolwer", ["tolower", "toupper"].into_iter()), Some("tolower"));
        assert_eq!(nearest("zzz", ["tolower"].into_iter()), None);
    }

    // Rows of the `geo` family get their examples with their kernels.
    #[test]
    fn every_function_is_documented() {
        let rows = scalars().chain(windows()).chain(aggregates()).chain(planned());
        let bare: Vec<&str> = rows
            .filter(|row| row.doc.is_empty() || row.example.is_empty())
            .map(|row| row.name)
            .filter(|name| !name.starts_with("geo_"))
            .collect();
        assert!(bare.is_empty(), "without a sentence or an example: {bare:?}");
    }

    #[test]
    fn every_name_is_given_once() {
        let scalars = scalars().chain(planned());
        let tables: [Vec<&Function>; 3] = [scalars.collect(), windows().collect(), aggregates().collect()];
        for table in tables {
            let mut seen = std::collections::HashSet::new();
            let names = table.iter().flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
            let twice: Vec<&str> = names.filter(|name| !seen.insert(*name)).collect();
            assert!(twice.is_empty(), "given twice: {twice:?}");
        }
    }

    #[test]
    fn common_types() {
        assert_eq!(common_type(Type::Int, Type::Real), Some(Type::Real));
        assert_eq!(common_type(Type::String, Type::Long), None);
    }
}
