//! Libraries of drivers, loaded while the program runs: nothing here is needed to build or to start.

use super::DeviceError;
use std::error::Error;

/// Opens the first of these libraries that there is.
pub(super) fn open(api: &'static str, names: &[&str]) -> Result<libloading::Library, DeviceError> {
    let mut reason = String::new();
    for name in names {
        // SAFETY: the initialisers of a driver's library may run in any process; it is the system's.
        match unsafe { libloading::Library::new(*name) } {
            Ok(library) => return Ok(library),
            // What is said of the first name is of the one that distributions have.
            Err(error) if reason.is_empty() => reason = said(&error),
            Err(_) => {}
        }
    }
    Err(DeviceError::NoLibrary { api, library: names.join(" or "), reason })
}

/// What the system says of it.
fn said(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A table of the functions of a library, each with its C type.
macro_rules! functions {
    ($(#[$meta:meta])* $table:ident of $api:literal { $($name:ident: fn($($argument:ty),* $(,)?) -> $result:ty,)* }) => {
        $(#[$meta])*
        #[allow(non_snake_case, reason = "the names are the library's")]
        pub(super) struct $table {
            $(pub(super) $name: unsafe extern "system" fn($($argument),*) -> $result,)*
            /// Holds the code that the functions are in.
            _library: libloading::Library,
        }

        impl $table {
            /// Loads the first of these libraries that there is.
            #[allow(non_snake_case, reason = "the names are the library's")]
            pub(super) fn load(names: &[&str]) -> Result<$table, crate::device::DeviceError> {
                let library = crate::device::library::open($api, names)?;
                // SAFETY: the types are those of the library's header.
                unsafe { $(let $name = crate::device::library::function(&library, $api, stringify!($name))?;)*
                    Ok($table { $($name,)* _library: library }) }
            }
        }
    };
}

pub(super) use functions;

/// A function of a library.
///
/// # Safety
/// `F` is the function's type.
pub(super) unsafe fn function<F: Copy>(
    library: &libloading::Library,
    api: &'static str,
    name: &'static str,
) -> Result<F, DeviceError> {
    // SAFETY: the caller says so.
    let found = unsafe { library.get::<F>(name) };
    found.map(|function| *function).map_err(|error| DeviceError::NoLibrary {
        api,
        library: format!("a library with `{name}`"),
        reason: said(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_installed_is_named() {
        let error = open("CUDA", &["libnosuchdriver.so.1", "libnosuchdriver.so"]).expect_err("there is none");
        let text = error.to_string();
        assert!(
            text.starts_with("there is no CUDA here: libnosuchdriver.so.1 or libnosuchdriver.so cannot be loaded"),
            "{text}"
        );
    }

    #[test]
    fn a_library_without_the_function_is_refused() {
        let library = open("CUDA", &["libc.so.6", "libSystem.dylib"]).expect("every process has it");
        // SAFETY: nothing is called.
        let error = unsafe { function::<unsafe extern "system" fn()>(&library, "CUDA", "cuNoSuchFunction") };
        assert!(error.expect_err("not in libc").to_string().contains("cuNoSuchFunction"));
    }
}
