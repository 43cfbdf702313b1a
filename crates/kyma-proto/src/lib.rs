//! The wire: generated messages and their conversions.
