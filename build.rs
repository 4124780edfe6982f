//! How the shared library is linked: under the name of its binary interface, and to stay once loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The number is MRISYNTH_ABI_VERSION of src/capi/mod.rs; tests/capi_symbols.rs compares the two.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libmrisynth.so.1");
        // Worker threads may still be finishing when a host closes the library: its code must stay.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
