//! The front end. Its files are in the manifest's `[assets]`: `cargo xtask build-components` makes them of `page`, and the host
//! serves them without calling anything here. So there is nothing here.
