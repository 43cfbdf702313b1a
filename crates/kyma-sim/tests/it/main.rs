//! The simulation is sound: its catalog keeps the catalog's promises, its runs can be replayed, and it finds bugs.

mod bugs;
mod model;
mod runs;
