//! Variance, deviation and covariance by running means (Welford 1962), merged as by Chan, Golub and LeVeque (1979).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use kyma_core::{Error, Result};

use super::Slot;
use crate::view::Reals;
use crate::{Arg, build};

/// What is made of the moments.
pub(super) struct Config {
    population: bool,
    root: bool,
}

impl Config {
    pub(super) fn named(function: &str) -> Config {
        Config { population: function.ends_with('p'), root: function.starts_with("stdev") }
    }
}

/// Count, means and co-moment of one group; of one variable, both are the same.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    mean_x: f64,
    mean_y: f64,
    product: f64,
}

impl Slot for Moments {
    type Config = Config;
    type Input<'a> = (Reals<'a>, Reals<'a>);

    fn input<'a>(_: &Config, args: &'a [Arg]) -> Result<(Reals<'a>, Reals<'a>)> {
        let x = Reals::of(super::simple::only(args)?)?;
        Ok((x, args.get(1).map_or(Ok(x), Reals::of)?))
    }

    fn new(_: &Config) -> Self {
        Moments::default()
    }

    fn update(&mut self, (x, y): &(Reals<'_>, Reals<'_>), row: usize, _: &Config) -> usize {
        if let (Some(x), Some(y)) = (x.get(row), y.get(row)) {
            self.count += 1.0;
            let off = x - self.mean_x;
            self.mean_x += off / self.count;
            self.mean_y += (y - self.mean_y) / self.count;
            self.product += off * (y - self.mean_y);
        }
        0
    }

    fn state_types(_: &Config) -> Vec<DataType> {
        vec![DataType::Float64; 4]
    }

    fn save(slots: &[Self], _: &Config) -> Result<Vec<ArrayRef>> {
        let column =
            |get: fn(&Moments) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(slots.iter().map(get))) };
        Ok(vec![
            column(|slot| slot.count),
            column(|slot| slot.mean_x),
            column(|slot| slot.mean_y),
            column(|slot| slot.product),
        ])
    }

    fn load(state: &[ArrayRef], row: usize, _: &Config) -> Result<Self> {
        let get = |column: usize| {
            let array = state.get(column).and_then(|array| array.as_primitive_opt::<Float64Type>());
            array.map(|array| array.value(row)).ok_or_else(|| Error::internal("an aggregate's state has another type"))
        };
        Ok(Moments { count: get(0)?, mean_x: get(1)?, mean_y: get(2)?, product: get(3)? })
    }

    fn absorb(&mut self, other: Self, _: &Config) -> usize {
        let count = self.count + other.count;
        if other.count > 0.0 {
            let (off_x, off_y) = (other.mean_x - self.mean_x, other.mean_y - self.mean_y);
            self.product += other.product + off_x * off_y * self.count * other.count / count;
            self.mean_x += off_x * other.count / count;
            self.mean_y += off_y * other.count / count;
            self.count = count;
        }
        0
    }

    fn finish(slots: Vec<Self>, config: &Config) -> Result<Vec<ArrayRef>> {
        Ok(vec![build::reals(slots.len(), |group| {
            let Moments { count, product, .. } = slots[group];
            let divisor = if config.population { count } else { count - 1.0 };
            let moment = if divisor > 0.0 { product / divisor } else { 0.0 };
            Some(if config.root { moment.max(0.0).sqrt() } else { moment })
        })])
    }
}
