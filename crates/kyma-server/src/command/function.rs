//! Stored functions.

use kyma_core::catalog::StoredFunction;
use kyma_core::{Error, Result, Type};
use kyma_plan::{Put, Texts};

use super::table::{SmallTable, string};
use super::{LANGUAGE, ensure_database, existing_database, find_database};
use crate::failure::{Failure, Outcome};
use crate::settings::FUNCTION_BYTES_MAX;
use crate::state::Shared;

/// `.show functions`, `.show function f`.
pub(super) async fn show(state: &Shared, database: &str, name: Option<&str>) -> Result<SmallTable> {
    let functions = match find_database(state, database).await? {
        Some(found) => state.catalog.functions(found.id).await?,
        None => Vec::new(),
    };
    let Some(name) = name else { return Ok(listed(functions)) };
    let found: Vec<_> = functions.into_iter().filter(|function| function.name == name).collect();
    if found.is_empty() { Err(unknown(database, name)) } else { Ok(listed(found)) }
}

fn listed(functions: Vec<StoredFunction>) -> SmallTable {
    let text = Type::String;
    let mut shown =
        SmallTable::new([("Name", text), ("Parameters", text), ("Body", text), ("Folder", text), ("DocString", text)]);
    for StoredFunction { name, parameters, body, folder, docstring } in functions {
        shown.row([string(name), string(parameters), string(body), string(folder), string(docstring)]);
    }
    shown
}

fn unknown(database: &str, name: &str) -> Error {
    Error::not_found("function.unknown", format!("the function does not exist: database={database}, function={name}"))
        .hint("`.show functions` lists the functions")
}

/// `.create function`, `.create-or-alter function`, `.alter function`.
pub(super) async fn put(
    state: &Shared,
    database: &str,
    function: StoredFunction,
    put: Put,
    texts: &Texts,
    validate: bool,
) -> Outcome<SmallTable> {
    let database = ensure_database(state, database).await?;
    if function.body.len() + function.parameters.len() > FUNCTION_BYTES_MAX {
        let message = format!("the function is longer than the limit: bytes_max={FUNCTION_BYTES_MAX}");
        return Err(Error::exhausted("function.too_long", message).into());
    }
    let existing = find(state, database.id, &function.name).await?;
    let existing = match (existing, put) {
        (None, Put::Alter) => return Err(unknown(&database.name, &function.name).into()),
        (Some(existing), Put::CreateIfNotExists) => return Ok(listed(vec![existing])),
        (existing, _) => existing,
    };
    refuse_table_name(state, database.id, &function.name).await?;
    let kept = |said: &Option<String>, before: fn(&StoredFunction) -> &String| {
        said.clone().or_else(|| existing.as_ref().map(|existing| before(existing).clone())).unwrap_or_default()
    };
    let folder = kept(&texts.folder, |it| &it.folder);
    let docstring = kept(&texts.docstring, |it| &it.docstring);
    let function = StoredFunction { folder, docstring, ..function };
    if validate {
        let checked = state.engine.check_function(LANGUAGE, &database.name, &function).await;
        checked.map_err(|error| {
            let mut failure = Failure::of_query(error, &format!("{} {}", function.parameters, function.body));
            let hint = "with (skipvalidation=true) stores it as it is";
            failure.hint = Some(failure.hint.map_or_else(|| hint.to_owned(), |said| format!("{said}; {hint}")));
            failure.message = format!("the function '{}' is not right: {}", function.name, failure.message);
            failure
        })?;
    } else if state.engine.frontend(LANGUAGE).is_none_or(|frontend| frontend.parameters(&function).is_none()) {
        let message = format!("the function's parameters cannot be read: function={}", function.name);
        return Err(Error::invalid("function.parameters", message).hint("write (a:long, T:(*))").into());
    }
    let replace = matches!(put, Put::CreateOrAlter | Put::Alter);
    state.catalog.put_function(database.id, &function, replace).await?;
    Ok(listed(vec![function]))
}

async fn find(state: &Shared, database: kyma_core::DatabaseId, name: &str) -> Result<Option<StoredFunction>> {
    Ok(state.catalog.functions(database).await?.into_iter().find(|function| function.name == name))
}

/// A table of the name would hide the function.
async fn refuse_table_name(state: &Shared, database: kyma_core::DatabaseId, name: &str) -> Result<()> {
    if state.catalog.table(database, name).await?.is_none() {
        return Ok(());
    }
    Err(Error::conflict("function.name_taken", format!("a table has the function's name: name={name}"))
        .hint("choose another name"))
}

/// `.alter function f docstring "..."`, `.alter function f folder "..."`.
pub(super) async fn alter_texts(state: &Shared, database: &str, name: &str, texts: &Texts) -> Result<SmallTable> {
    let found = existing_database(state, database).await?;
    let function = find(state, found.id, name).await?.ok_or_else(|| unknown(database, name))?;
    let folder = texts.folder.clone().unwrap_or(function.folder);
    let docstring = texts.docstring.clone().unwrap_or(function.docstring);
    let function = StoredFunction { folder, docstring, ..function };
    state.catalog.put_function(found.id, &function, true).await?;
    Ok(listed(vec![function]))
}

/// `.drop function f`, `.drop functions (f, g)`: answers with the functions that are left.
pub(super) async fn drop(state: &Shared, database: &str, names: &[String], if_exists: bool) -> Result<SmallTable> {
    let found = existing_database(state, database).await?;
    let known = state.catalog.functions(found.id).await?;
    let is_known = |name: &String| known.iter().any(|function| function.name == *name);
    if let Some(absent) = names.iter().find(|name| !is_known(name) && !if_exists) {
        return Err(unknown(database, absent));
    }
    for name in names {
        state.catalog.drop_function(found.id, name).await?;
    }
    show(state, database, None).await
}
