//! Scalar, aggregate and table kernels: Arrow arrays in, arrays out.
