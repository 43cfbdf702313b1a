//! Who asks, and whom: nodes have no identities of users yet, so every caller is the same one.

use arrow::array::ArrayRef;
use kyma_core::Result;
use serde_json::json;

use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("current_principal", |call| text(call, PRINCIPAL)),
    kernel("current_principal_details", details),
    kernel("current_principal_is_member_of", |call| Ok(build::flags(call.rows, |_| false))),
    kernel("current_cluster_endpoint", |call| text(call, CLUSTER)),
];

/// The name of a caller that did not say who it is.
const PRINCIPAL: &str = "anonymous";
/// A node does not know the address it was reached by.
const CLUSTER: &str = "localhost";

fn text(call: &Call<'_>, text: &str) -> Result<ArrayRef> {
    Ok(build::texts(call.rows, |_| text))
}

fn details(call: &Call<'_>) -> Result<ArrayRef> {
    let details = json!({
        "UserPrincipalName": "", "IdentityProvider": "", "Authority": "", "Mfa": "False", "Type": "Anonymous",
        "DisplayName": PRINCIPAL, "ObjectId": "", "FQN": PRINCIPAL, "Notes": "",
    });
    let details = details.to_string();
    Ok(build::jsons(call.rows, |_| Some(details.as_str())))
}
