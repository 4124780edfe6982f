//! Lets the command find LibTorch where it was built against it.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if std::env::var_os("CARGO_FEATURE_TCH").is_some()
        && let Some(folder) = std::env::var_os("LIBTORCH")
    {
        let library = std::path::Path::new(&folder).join("lib");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library.display());
    }
}
