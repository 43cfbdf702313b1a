//! A page to try a query on: one file, no build.

use axum::response::Html;

pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
